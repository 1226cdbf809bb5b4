#include "reward/math/surroundings.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include "reward/math/formulas.h"
#include "reward/math/surrounding_words.h"
#include "reward/math/units.h"
#include "reward/text.h"

namespace temper {
namespace {

constexpr size_t kNone = std::string_view::npos;

bool is_letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0;
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_space(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

std::string lower(std::string_view word) {
  std::string out(word);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// The name of the command that begins at `at`, "text" for "\text"; one character for "\,".
std::string_view command_at(std::string_view text, size_t at) {
  size_t end = at + 1;
  while (end < text.size() && is_letter(text[end])) ++end;
  if (end == at + 1 && end < text.size()) ++end;
  return text.substr(at + 1, end - at - 1);
}

// The content of the group that follows, and where it ends.
std::string_view group_at(std::string_view text, size_t at, size_t& end) {
  end = at;
  while (at < text.size() && text[at] == ' ') ++at;
  if (at >= text.size() || text[at] != '{') return {};
  int depth = 0;
  for (size_t i = at; i < text.size(); ++i) {
    if (text[i] == '{') ++depth;
    if (text[i] == '}' && --depth == 0) {
      end = i + 1;
      return text.substr(at + 1, i - at - 1);
    }
  }
  return {};
}

std::vector<std::string> words_behind(std::string_view text, size_t at) {
  std::vector<std::string> words;
  while (words.size() < 5) {
    while (at < text.size() && (text[at] == ' ' || text[at] == '~')) ++at;
    const size_t start = at;
    while (at < text.size() && (is_letter(text[at]) || text[at] == '\'')) ++at;
    if (at == start) break;
    words.emplace_back(text.substr(start, at - start));
  }
  return words;
}

// Whether the first words behind an answer change or deny it.
bool words_change(std::string_view text) {
  const std::vector<std::string> words = words_behind(text, 0);
  if (words.empty()) return false;
  const std::string first = lower(words[0]);
  if (is_among(first, kJoining)) return true;
  if (is_among(first, kOperators)) {
    const std::string_view rest = trimmed(text.substr(text.find(words[0]) + first.size()));
    return !rest.empty() && (is_digit(rest[0]) || rest[0] == '$' || rest[0] == '\\');
  }
  if (!is_among(first, kVerbs)) return false;
  return std::any_of(words.begin(), words.end(), [](const std::string& word) {
    return is_among(lower(word), kDenials) || word.ends_with("n't");
  });
}

// The unit or magnitude that the words begin with, as text; empty if there is none. "percent" in
// words is none: where a percentage is asked for, it says no more than the question.
std::string unit_of_words(const std::vector<std::string>& words) {
  std::string unit;
  bool measure = false;
  for (size_t i = 0; i < words.size() && i < 3; ++i) {
    const std::string& word = words[i];
    const bool power = word == "square" || word == "cubic" || word == "sq" || word == "cu";
    const bool preposition = word == "in" && i + 1 < words.size();
    const bool fits =
        power || magnitude_of(word) != 0 || (is_unit(word) && !preposition && word != "percent");
    if (!fits) break;
    measure = measure || !power;
    unit += (unit.empty() ? "" : " ") + word;
  }
  return measure ? " \\text{" + unit + "}" : "";
}

// The power behind a unit: "^2", "^3" or the raised characters.
std::string power_of_unit(std::string_view text, size_t at) {
  while (at < text.size() && (text[at] == ' ' || is_letter(text[at]))) ++at;
  for (const std::string_view power : {"^2", "^3", "\xC2\xB2", "\xC2\xB3", "^{2}", "^{3}"}) {
    if (text.substr(at).starts_with(power)) return std::string(power);
  }
  return "";
}

// Whether an operator and what it applies to begin here: "+ 1", "^2", "/3", "- 4".
bool is_operation(std::string_view rest) {
  if (rest.empty()) return false;
  const std::string_view operand = trimmed(rest.substr(1));
  const bool applies = !operand.empty() && (is_digit(operand[0]) || operand[0] == '$' ||
                                            operand[0] == '\\' || operand[0] == '(');
  if (rest[0] == '^') return true;
  if (rest[0] == '+' || rest[0] == '/' || rest[0] == '*') return applies;
  if (rest[0] == '-') return applies;
  if (rest.starts_with("\xC3\x97")) return true;
  if (rest[0] != '\\' || rest.starts_with("\\frac{\\text")) return false;
  return is_among(command_at(rest, 0), " times cdot div pm mp sqrt frac pi over ");
}

// Where the parts of one statement begin and end: see boxed_answer.
struct Scope {
  size_t begin = 0, end = 0;     // of the formula's inside, or of the line
  size_t before = 0, after = 0;  // of the formula with its delimiters
  bool formula = false;
};
Scope scope_of(std::string_view text, const BoxPlace& box) {
  for (const FormulaSpan& span : find_formulas(text)) {
    if (span.inner_begin <= box.begin && box.end <= span.inner_end) {
      return {span.inner_begin, span.inner_end, span.begin, span.end, true};
    }
  }
  const size_t line = box.begin == 0 ? kNone : text.rfind('\n', box.begin - 1);
  const size_t end = std::min(text.find('\n', box.end), text.size());
  return {line == kNone ? 0 : line + 1, end, box.begin, box.end, false};
}

// One step of a scan over a formula: how far it goes, and whether it parts two statements.
size_t step_over(std::string_view text, size_t at, int& depth, bool& parts) {
  parts = false;
  const char c = text[at];
  if (c == '\\') {
    const std::string_view name = command_at(text, at);
    size_t end = at + 1 + name.size();
    if (name == "begin" || name == "end" || is_among(name, kTextual)) {
      group_at(text, end, end);
      parts = true;
    }
    if (name == "{") ++depth;
    if (name == "}" && depth > 0) --depth;
    parts = parts || name == "\\" || name == "(" || name == "[" || is_among(name, kParting);
    return end;
  }
  if (c == '{' || c == '(' || c == '[') ++depth;
  if ((c == '}' || c == ')' || c == ']') && depth > 0) --depth;
  const char previous = at > 0 ? text[at - 1] : ' ';
  const bool factorial = previous == '!' && at > 1 && !is_space(text[at - 2]);  // 5!=120
  if (c == '=') parts = factorial || (previous != '!' && previous != '<' && previous != '>');
  const bool digits = at + 1 < text.size() && is_digit(text[at + 1]);
  if (c == ',' || c == '.') parts = !digits;
  parts = parts || c == '&' || c == ';' || c == ':' || c == '\n';
  return at + 1;
}

std::string_view without_looks(std::string_view text) {
  for (text = trimmed(text); !text.empty() && text[0] == '\\';) {
    const std::string_view name = command_at(text, 0);
    if (!is_among(name, kLooks)) break;
    text = trimmed(text.substr(name.size() + 1));
  }
  return text;
}

// Words that slipped into a formula whose dollar is missing: "b is one of".
bool is_prose(std::string_view text) {
  const bool words =
      std::all_of(text.begin(), text.end(), [](char c) { return is_letter(c) || c == ' '; });
  return words && text.find(' ') != kNone;
}

// What stands before the box in its statement; `depth` is how many brackets are open there.
std::string_view before_in_statement(std::string_view text, const Scope& scope, size_t box,
                                     int& depth) {
  depth = 0;
  size_t begin = scope.begin;
  for (size_t at = scope.begin; at < box;) {
    bool parts = false;
    const int outer = depth;
    const size_t next = step_over(text, at, depth, parts);
    if (parts && outer == 0) begin = std::min(next, box);
    at = next;
  }
  const std::string_view before = without_looks(text.substr(begin, box - begin));
  return is_prose(before) ? std::string_view() : before;
}

// What follows the box in its statement. `at` ends behind it.
std::string_view behind_in_statement(std::string_view text, const Scope& scope, size_t& at,
                                     int depth) {
  const size_t begin = at;
  while (at < scope.end) {
    bool parts = false;
    const int outer = depth;
    const char c = text[at];
    if (text.substr(at).starts_with("\\frac{\\text")) break;  // a unit's fraction
    if ((c == '}' || c == ')' || c == ']') && depth == 0) break;
    size_t next = step_over(text, at, depth, parts);
    if (parts && outer == 0) {
      size_t end = at;
      const bool textual = c == '\\' && is_among(command_at(text, at), kTextual);
      if (!textual) break;
      const std::string_view inside = group_at(text, at + 1 + command_at(text, at).size(), end);
      const std::vector<std::string> said = words_behind(inside, 0);
      if (unit_of_words(said).empty() && !words_change(inside)) break;
      if (words_change(inside)) {  // "\text{ or } 12" is read with all that follows
        at = scope.end;
        break;
      }
    }
    at = next;
  }
  return trimmed(text.substr(begin, at - begin));
}

// The text before a box outside delimiters ends in marks of running text.
std::string_view without_decoration(std::string_view text) {
  while (!text.empty()) {
    const char c = text.back();
    const bool open = c == '(' && (text.size() == 1 || is_space(text[text.size() - 2]));
    const bool star =
        (c == '*' || c == '_') &&
        (text.size() == 1 || is_space(text[text.size() - 2]) || text[text.size() - 2] == c);
    const bool dollar = c == '$' && (text.size() == 1 || text[text.size() - 2] != '\\');
    if (!open && !star && !dollar && c != '"' && c != '\'') break;
    text.remove_suffix(1);
  }
  return text;
}

enum class Lead { nothing, minus, part };

// What the text of a line before the box means for it.
Lead lead_of(std::string_view line) {
  line = without_decoration(line);
  const bool spaced = line.empty() || is_space(line.back());
  line = trimmed(line);
  if (line.empty()) return Lead::nothing;
  const char c = line.back();
  if (c == '{') {
    size_t name = line.rfind('\\');
    if (name == kNone) return line.size() == 1 ? Lead::nothing : Lead::part;
    const std::string_view command = command_at(line, name);
    const bool wraps = name + command.size() + 2 == line.size() && is_among(command, kWrapping);
    return wraps ? Lead::nothing : Lead::part;
  }
  if (c == '-') {  // "x = - \boxed{5}" and "is -\boxed{5}", but not a bullet or a dash
    const std::string_view rest = trimmed(line.substr(0, line.size() - 1));
    if (spaced) return Lead::nothing;
    const bool glued = line.size() > 1 && !is_space(line[line.size() - 2]);
    return !rest.empty() && glued ? Lead::part : Lead::minus;
  }
  if (std::string_view("+*/^_<").find(c) != kNone) return Lead::part;
  size_t start = line.size();
  while (start > 0 && is_letter(line[start - 1])) --start;
  if (start > 0 && start < line.size() && line[start - 1] == '\\') {
    return is_among(line.substr(start), kLooks) ? Lead::nothing : Lead::part;
  }
  if (spaced) return Lead::nothing;
  const bool word = line.size() - start >= 2;
  const bool glued = is_digit(c) || (is_letter(c) && !word) || c == ')' || c == '}';
  return glued ? Lead::part : Lead::nothing;
}

std::optional<std::string> in_line(std::string_view text, const Scope& scope, const BoxPlace& box,
                                   std::string& reason) {
  int depth = 0;
  size_t begin = scope.begin;
  bool equals = false;
  for (size_t at = scope.begin; at < box.begin;) {
    bool parts = false;
    const char c = text[at];
    at = std::min(step_over(text, at, depth, parts), box.begin);
    if (parts) begin = at;
    if (parts) equals = c == '=';
  }
  const std::string_view line = text.substr(begin, box.begin - begin);
  const bool minus = equals && trimmed(line) == "-";
  const Lead lead = minus ? Lead::minus : lead_of(line);
  const char next = box.end < text.size() ? text[box.end] : ' ';
  const std::vector<std::string> words = words_behind(text, box.end);
  const bool glued =
      is_digit(next) ||
      (is_letter(next) && !words.empty() && words[0].size() == 1 && !is_unit(words[0])) ||
      (next == ',' && box.end + 1 < text.size() && is_digit(text[box.end + 1]));
  const size_t end = std::min(text.find_first_of(" \n$,.;\\", box.end), text.size());
  const std::string_view letters = text.substr(box.end, end - box.end);
  if (lead == Lead::nothing && glued && is_monomial(letters)) {  // \boxed{5}x^2
    return "{" + std::string(box.content) + "}" + std::string(letters);
  }
  if (lead == Lead::part || glued) {
    reason = "the box is a part of a formula";
    return std::nullopt;
  }
  return std::string(lead == Lead::minus ? "-{" + std::string(box.content) + "}" : box.content);
}

}  // namespace

bool is_denied_before(std::string_view text, size_t begin) {
  std::string_view before = text.substr(0, begin);
  while (!before.empty() && std::string_view("*_$ (").find(before.back()) != kNone) {
    before.remove_suffix(1);
  }
  constexpr std::string_view kBetween = " be been equal equals to exactly the answer value ";
  std::string between;
  for (int words = 0; words < 4; ++words) {
    while (!before.empty() && before.back() == ' ') before.remove_suffix(1);
    size_t start = before.size();
    while (start > 0 && (is_letter(before[start - 1]) || before[start - 1] == '\'')) --start;
    if (start == before.size()) return false;
    const std::string word = lower(before.substr(start));
    const bool nearest = words == 0;
    if (!nearest && !is_among(between, kBetween)) return false;
    if (word == "not" || word == "cannot" || word == "never" || word.ends_with("n't")) return true;
    between = word;
    if (nearest && is_among(word, " than either maybe perhaps possibly neither nor ")) return true;
    before.remove_suffix(before.size() - start);
  }
  return false;
}

Behind behind_answer(std::string_view text, size_t end) {
  while (end < text.size() && (text[end] == ' ' || text[end] == '*' || text[end] == '~')) {
    if (text[end] == '*' && end + 1 < text.size() && is_digit(text[end + 1])) break;
    ++end;
  }
  const std::string_view rest = text.substr(end);
  if (rest.starts_with("\\%") || rest.starts_with("%")) return {false, "\\%"};
  for (const std::string_view degree : {"^\\circ", "^{\\circ}", "\xC2\xB0"}) {
    if (rest.starts_with(degree)) return {false, "^\\circ"};
  }
  if (is_operation(rest)) return {true, ""};
  size_t behind = 0;
  const bool textual = rest.starts_with("\\") && is_among(command_at(rest, 0), kTextual);
  const std::string_view inside =
      textual ? group_at(rest, command_at(rest, 0).size() + 1, behind) : rest;
  const std::vector<std::string> words = words_behind(inside, 0);
  if (words_change(inside)) return {true, ""};
  std::string unit = unit_of_words(words);
  if (!unit.empty() && words.size() == 1) unit += power_of_unit(inside, 0);
  return {false, unit};
}

std::optional<std::string> boxed_answer(std::string_view text, const BoxPlace& box,
                                        std::string& reason) {
  const Scope scope = scope_of(text, box);
  std::optional<std::string> answer;
  size_t end = box.end;
  if (scope.formula) {
    int depth = 0;
    const std::string_view before = before_in_statement(text, scope, box.begin, depth);
    std::string_view behind = behind_in_statement(text, scope, end, depth);
    if (without_looks(behind).empty()) behind = {};
    const bool bare = before.empty() && behind.empty();
    const std::string content(box.content);
    answer = bare ? content
                  : std::string(before) + (before.ends_with("$") ? content : "{" + content + "}") +
                        std::string(behind);
    if (trimmed(text.substr(end, scope.end - end)).empty()) end = scope.after;
  } else {
    answer = in_line(text, scope, box, reason);
  }
  if (!answer) return std::nullopt;
  const Behind behind = behind_answer(text, end);
  if (behind.changes || is_denied_before(text, scope.before) || is_denied_before(text, box.begin)) {
    reason = "what stands beside the box changes or denies it";
    return std::nullopt;
  }
  if (behind.unit.empty()) return answer;
  return (answer == box.content ? "{" + *answer + "}" : *answer) + behind.unit;
}

}  // namespace temper
