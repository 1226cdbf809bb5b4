#include "reward/math/extract.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "reward/math/formulas.h"
#include "reward/math/surroundings.h"
#include "reward/math/units.h"
#include "reward/text.h"

namespace temper {
namespace {

constexpr size_t kNone = std::string_view::npos;
constexpr size_t kMaxLine = 256;
constexpr std::string_view kConclusions[] = {"Therefore", "Thus", "Hence", "So "};

// The end of the group whose '{' stands at `open`: the index of its '}', or kNone.
size_t closing_brace(std::string_view text, size_t open) {
  int depth = 0;
  for (size_t i = open; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;  // \{ and \} are characters, not groups
    } else if (text[i] == '{') {
      ++depth;
    } else if (text[i] == '}' && --depth == 0) {
      return i;
    }
  }
  return kNone;
}

// The \boxed or \fbox that is the last one before `end`, by its own extent and that of its content.
struct Box {
  size_t begin = kNone, end = kNone;  // end is kNone if it is not closed
  std::string_view content;
};
Box last_box_before(std::string_view text, size_t end) {
  Box box;
  size_t content = 0;
  for (const std::string_view command : {"\\boxed", "\\fbox"}) {
    const size_t last = end == 0 ? kNone : text.rfind(command, end - 1);
    if (last == kNone || (box.begin != kNone && last < box.begin)) continue;
    box.begin = last;
    content = last + command.size();
  }
  if (box.begin == kNone) return box;
  while (content < text.size() && text[content] == ' ') ++content;
  if (content >= text.size()) return box;
  if (text[content] != '{') {  // \boxed 5 boxes what follows up to a space or the formula's end
    box.end = std::min(text.find_first_of(" $\n", content), text.size());
    box.content = text.substr(content, box.end - content);
    return box;
  }
  const size_t close = closing_brace(text, content);
  if (close == kNone) return box;
  box.content = text.substr(content + 1, close - content - 1);
  box.end = close + 1;
  return box;
}

// Where the last occurrence of `phrase` (lower case) ends, ignoring case; kNone if there is none.
size_t end_of_last_phrase(std::string_view text, std::string_view phrase) {
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  const auto at = std::find_end(text.begin(), text.end(), phrase.begin(), phrase.end(), same);
  return at == text.end() ? kNone : static_cast<size_t>(at - text.begin()) + phrase.size();
}

// Whether "final answer is" stands behind the last box, before a formula or a number: the box was
// not the end.
bool answers_after_box(std::string_view text, size_t box_end) {
  std::string_view rest = text.substr(box_end);
  const size_t phrase = end_of_last_phrase(rest, "final answer is");
  if (phrase == kNone) return false;
  rest = trimmed(rest.substr(phrase));
  return !rest.empty() && (rest.front() == '$' || rest.front() == '-' || rest.starts_with("\\(") ||
                           rest.starts_with("\\[") || (rest.front() >= '0' && rest.front() <= '9'));
}

// The last box's answer, or the text from the first to the last of several joined ones.
// `found` is set if there is a box, closed or not.
std::optional<FinalAnswer> last_boxes(std::string_view text, bool& found, std::string& reason) {
  const Box last = last_box_before(text, text.size());
  found = last.begin != kNone && (last.end == kNone || !answers_after_box(text, last.end));
  if (!found) return std::nullopt;
  if (last.end == kNone) {
    reason = "a box is not closed";
    return std::nullopt;
  }
  size_t begin = last.begin;
  for (int joined = 0; joined < 64; ++joined) {
    const Box before = last_box_before(text, begin);
    const bool adjacent = before.begin != kNone && before.end != kNone && before.end <= begin &&
                          begin - before.end <= 40;
    if (!adjacent || !joins_boxes(text.substr(before.end, begin - before.end))) break;
    begin = before.begin;
  }
  FinalAnswer answer{"", AnswerMark::boxed};
  if (begin != last.begin) {
    answer.text = text.substr(begin, last.end - begin);
    return answer;
  }
  const auto alone = boxed_answer(text, {last.begin, last.end, last.content}, reason);
  if (!alone) return std::nullopt;
  answer.text = *alone;
  const std::string content = "{" + std::string(last.content) + "}";
  const bool more = alone->starts_with(content) && alone->size() > content.size();
  if (more && is_monomial(std::string_view(*alone).substr(content.size()))) {
    answer.coefficient = last.content;
  }
  return answer;
}

std::string_view without_full_stop(std::string_view text) {
  text = trimmed(text);
  if (text.ends_with('.') && text.size() > 1) text.remove_suffix(1);
  return trimmed(text);
}

// The text up to the end of its first sentence or line.
std::string_view first_sentence(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  for (size_t at = text.find(". "); at != kNone; at = text.find(". ", at + 1)) {
    if (at > 0 && text[at - 1] != '.') return text.substr(0, at);
  }
  return text;
}

// A formula is not cut by a window that begins at a line's start.
std::string_view tail_of(std::string_view text) {
  constexpr size_t kWindow = 4000;
  if (text.size() <= kWindow) return text;
  const size_t line = text.find('\n', text.size() - kWindow);
  return text.substr(line == kNone ? text.size() - kWindow : line + 1);
}

std::optional<std::string_view> last_formula(std::string_view text) {
  text = tail_of(text);
  const std::vector<FormulaSpan> formulas = find_formulas(text);
  if (formulas.empty()) return std::nullopt;
  return formula_group(text, formulas, formulas.size() - 1);
}

// How many numbers stand in a text of words.
int count_numbers(std::string_view text) {
  const auto is_digit = [&](size_t i) {
    return i < text.size() && text[i] >= '0' && text[i] <= '9';
  };
  int count = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!is_digit(i)) continue;
    ++count;
    const auto joins = [&] {  // 1,234 and 2/3 are one number
      return i + 1 < text.size() && std::string_view(".,/").find(text[i + 1]) != kNone &&
             is_digit(i + 2);
    };
    while (is_digit(i + 1) || joins()) ++i;
  }
  return count;
}

// Whether one of the words (with spaces around each) or an "n't" stands in the sentence.
bool has_word(std::string_view sentence, std::string_view words) {
  std::string word = " ";
  for (size_t i = 0; i <= sentence.size(); ++i) {
    const char c = i < sentence.size() ? sentence[i] : ' ';
    if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      continue;
    }
    if (c == '\'' && word.ends_with('n')) return true;  // isn't
    if (word.size() > 1 && words.find(word + " ") != std::string_view::npos) return true;
    word = " ";
  }
  return false;
}

// Whether a word makes a number in the sentence something else than its value.
bool qualifies(std::string_view sentence) {
  constexpr std::string_view kWords =
      " about above almost and approximately around at below between but cannot either except "
      "fewer greater half if larger least less maybe minus more most nearly neither never no nor "
      "not or over per perhaps plus possibly probably smaller than times twice under unless "
      "unlikely without wrong ";
  return has_word(sentence, kWords);
}

// Whether a word in the line says that a number in it is not, or may not be, the answer.
bool hedges(std::string_view line) {
  return has_word(line,
                  " almost cannot either except least maybe most nearly neither never nor not "
                  "perhaps possibly than unlikely wrong incorrect ");
}

// The last sentence behind all formulas, if it concludes in words and holds one number: "Therefore
// the price rises by 100%."
std::optional<std::string_view> conclusion(std::string_view text) {
  text = tail_of(text);
  const std::vector<FormulaSpan> formulas = find_formulas(text);
  std::string_view rest =
      without_full_stop(formulas.empty() ? text : text.substr(formulas.back().end));
  size_t begin = kNone;
  for (const std::string_view word : kConclusions) {
    const size_t at = rest.rfind(word);
    const bool starts =
        at != kNone && (at == 0 || std::isspace(static_cast<unsigned char>(rest[at - 1])) != 0);
    if (starts && (begin == kNone || at > begin)) begin = at;
  }
  if (begin == kNone) return std::nullopt;
  rest = rest.substr(begin);
  const bool concludes = rest.find(". ") == kNone && rest.find('\n') == kNone;
  return concludes && rest.size() <= kMaxLine && count_numbers(rest) == 1 && !qualifies(rest)
             ? std::optional(rest)
             : std::nullopt;
}

// What the phrases lead to: a formula right after them, or the rest of the sentence.
std::optional<std::string_view> after_phrase(std::string_view text) {
  constexpr std::array<std::string_view, 4> kPhrases = {"answer is", "answer:", "answers are",
                                                        "answer**:"};
  text = tail_of(text);
  size_t begin = kNone;
  for (const std::string_view phrase : kPhrases) {
    const size_t end = end_of_last_phrase(text, phrase);
    if (end != kNone && (begin == kNone || end > begin)) begin = end;
  }
  if (begin == kNone) return std::nullopt;
  const size_t start = text.find_first_not_of(" \t\n:*", begin);
  if (start == kNone) return std::nullopt;
  const std::string_view rest = text.substr(start);
  const std::vector<FormulaSpan> formulas = find_formulas(rest);
  if (!formulas.empty() && formulas.front().begin == 0) {
    return formula_group_from(rest, formulas, 0);
  }
  std::string_view sentence = without_full_stop(first_sentence(rest));
  while (sentence.ends_with('*')) sentence.remove_suffix(1);
  return without_full_stop(sentence);
}

// Where a unit ends that stands right behind a number: "5cm", "9.9m2" with a raised 2, "3km^2";
// else `from`.
size_t end_of_glued_unit(std::string_view line, size_t from) {
  size_t at = from;
  while (at < line.size() && std::isalpha(static_cast<unsigned char>(line[at])) != 0) ++at;
  if (at == from || !is_unit(line.substr(from, at - from))) return from;
  for (const std::string_view power : {"\xC2\xB2", "\xC2\xB3", "^2", "^3"}) {
    if (line.substr(at).starts_with(power)) return at + power.size();
  }
  return at;
}

// The text up to a token that ends the turn (base models go on with the next one), and without what
// few-shot prompts for MATH teach to say at the end.
std::string_view own_turn(std::string_view text) {
  for (const std::string_view token :
       {"<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>"}) {
    const size_t at = text.find(token);
    if (at != kNone && at > 0) text = text.substr(0, at);
  }
  text = trimmed(text);
  constexpr std::string_view kHope = "I hope it is correct.";
  if (text.ends_with(kHope)) text.remove_suffix(kHope.size());
  return trimmed(text);
}

std::optional<FinalAnswer> checked(std::string_view text, AnswerMark mark, std::string& reason) {
  text = trimmed(text);
  if (!text.empty()) return FinalAnswer{std::string(text), mark};
  reason = "the answer is empty";
  return std::nullopt;
}

// Whether what stands around an answer in formulas or words makes another one of it.
bool is_changed(std::string_view text, size_t begin, size_t end, std::string& reason) {
  const bool changed = behind_answer(text, end).changes || is_denied_before(text, begin);
  if (changed) reason = "what stands beside the answer changes or denies it";
  return changed;
}

// The marks that may stand in the final part or inside the answer tags, from the strongest on.
// `marked` is set if one is there, even if it holds nothing usable.
std::optional<FinalAnswer> by_mark(std::string_view text, bool& marked, std::string& reason) {
  if (auto box = last_boxes(text, marked, reason)) {
    auto answer = checked(box->text, AnswerMark::boxed, reason);
    if (answer) answer->coefficient = box->coefficient;
    return answer;
  }
  if (marked) return std::nullopt;
  marked = true;
  if (const size_t at = text.rfind("####"); at != kNone) {
    const std::string_view line = text.substr(at + 4);
    return checked(without_full_stop(line.substr(0, line.find('\n'))), AnswerMark::hashes, reason);
  }
  if (const auto phrase = after_phrase(text)) {
    const size_t end = static_cast<size_t>(phrase->data() - text.data()) + phrase->size();
    if (is_changed(text, 0, end, reason)) return std::nullopt;
    return checked(*phrase, AnswerMark::phrase, reason);
  }
  marked = false;
  return std::nullopt;
}

}  // namespace

std::optional<FinalAnswer> final_answer(std::string_view completion, std::string& reason) {
  const std::string_view text = own_turn(after_thinking(completion));
  bool marked = false;
  if (text.find("<answer>") != kNone || text.find("</answer>") != kNone) {
    const auto inside = only_answer(text, reason);
    if (!inside) return std::nullopt;
    auto answer = by_mark(*inside, marked, reason);
    return marked ? answer : checked(*inside, AnswerMark::tag, reason);
  }
  auto answer = by_mark(text, marked, reason);
  if (marked) return answer;
  if (const auto sentence = conclusion(text)) return checked(*sentence, AnswerMark::whole, reason);
  if (const auto formula = last_formula(text)) {
    const size_t begin = static_cast<size_t>(formula->data() - text.data());
    if (is_changed(text, begin, begin + formula->size(), reason)) return std::nullopt;
    return checked(*formula, AnswerMark::formula, reason);
  }
  const size_t line_start = text.rfind('\n');
  const std::string_view line = line_start == kNone ? text : trimmed(text.substr(line_start + 1));
  if (line.size() <= kMaxLine) return checked(without_full_stop(line), AnswerMark::whole, reason);
  reason = "no final answer is marked";
  return std::nullopt;
}

std::optional<FinalAnswer> gold_answer(std::string_view gold, std::string& reason) {
  for (const std::string_view mark : {"<answer>", "\\boxed", "\\fbox", "####", "answer is"}) {
    if (gold.find(mark) == kNone) continue;
    auto answer = final_answer(gold, reason);
    if (answer && answer->mark == AnswerMark::boxed) {
      const Box box = last_box_before(gold, gold.size());
      const std::string_view behind = gold.substr(box.end);
      const size_t word = behind.find_first_not_of(" $");
      if (word != kNone && behind.substr(word).starts_with("percent")) answer->text += "\\%";
    }
    return answer;
  }
  return checked(gold, AnswerMark::whole, reason);
}

std::optional<FinalAnswer> value_in_sentence(std::string_view sentence) {
  for (const std::string_view verb : {" is ", " are ", " equals ", " is: "}) {
    const size_t at = sentence.rfind(verb);
    if (at == kNone) continue;
    const std::string_view rest = trimmed(sentence.substr(at + verb.size()));
    if (!rest.empty()) return FinalAnswer{std::string(rest), AnswerMark::phrase};
  }
  if (!find_formulas(sentence).empty() || count_numbers(sentence) != 1 || qualifies(sentence))
    return std::nullopt;
  return last_number(sentence);
}

std::optional<FinalAnswer> last_number(std::string_view line) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  size_t end = line.size();
  while (end > 0 && !is_digit(line[end - 1])) --end;
  if (end == 0 || hedges(line)) return std::nullopt;
  size_t begin = end;
  while (begin > 0 && (is_digit(line[begin - 1]) || line[begin - 1] == '.' ||
                       line[begin - 1] == ',' || line[begin - 1] == '/')) {
    --begin;
  }
  while (begin < end && !is_digit(line[begin]) && line[begin] != '.') ++begin;
  if (begin > 0 && line[begin - 1] == '$') --begin;
  if (begin > 0 && line[begin - 1] == '-' && (begin == 1 || line[begin - 2] == ' ')) --begin;
  if (end < line.size() && line[end] == '%') ++end;
  end = end_of_glued_unit(line, end);
  constexpr std::string_view kOperators = "+-*/^_=(){}[]<>\\|";
  const std::string_view before = trimmed(line.substr(0, begin));
  const std::string_view after = line.substr(end);
  const bool formula_before = !before.empty() && kOperators.find(before.back()) != kNone;
  const bool formula_after =
      !after.empty() && (kOperators.find(after.front()) != kNone ||
                         std::isalpha(static_cast<unsigned char>(after.front())) != 0);
  const bool glued = begin > 0 && std::isalnum(static_cast<unsigned char>(line[begin - 1])) != 0;
  if (formula_before || formula_after || glued) return std::nullopt;
  return FinalAnswer{std::string(line.substr(begin, end - begin)), AnswerMark::number};
}

}  // namespace temper
