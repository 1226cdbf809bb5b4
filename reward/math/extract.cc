#include "reward/math/extract.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "reward/text.h"

namespace temper {
namespace {

constexpr size_t kNone = std::string_view::npos;

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

// The content of the last \boxed or \fbox; sets `found` if there is one, closed or not.
std::optional<std::string_view> last_box(std::string_view text, bool& found) {
  size_t at = kNone, begin = 0;
  for (const std::string_view command : {"\\boxed", "\\fbox"}) {
    const size_t last = text.rfind(command);
    if (last != kNone && (at == kNone || last > at)) {
      at = last;
      begin = last + command.size();
    }
  }
  found = at != kNone;
  if (!found) return std::nullopt;
  while (begin < text.size() && text[begin] == ' ') ++begin;
  if (begin >= text.size()) return std::nullopt;
  if (text[begin] != '{') {  // \boxed 5 boxes what follows up to a space or the formula's end
    const size_t end = std::min(text.find_first_of(" $\n", begin), text.size());
    return text.substr(begin, end - begin);
  }
  const size_t end = closing_brace(text, begin);
  if (end == kNone) return std::nullopt;
  return text.substr(begin + 1, end - begin - 1);
}

// Where the last occurrence of `phrase` (lower case) ends, ignoring case; kNone if there is none.
size_t end_of_last_phrase(std::string_view text, std::string_view phrase) {
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  const auto at = std::find_end(text.begin(), text.end(), phrase.begin(), phrase.end(), same);
  return at == text.end() ? kNone : static_cast<size_t>(at - text.begin()) + phrase.size();
}

std::string_view without_full_stop(std::string_view text) {
  text = trimmed(text);
  if (text.ends_with('.') && text.size() > 1) text.remove_suffix(1);
  return trimmed(text);
}

// The content of the last formula between math delimiters.
std::optional<std::string_view> last_formula(std::string_view text) {
  size_t best = kNone;
  std::string_view content;
  const auto consider = [&](size_t open, size_t begin, size_t end) {
    if (best != kNone && open < best) return;
    best = open;
    content = text.substr(begin, end - begin);
  };
  const size_t close_dollar = text.rfind('$');
  if (close_dollar != kNone && close_dollar > 0) {
    const bool doubled = text[close_dollar - 1] == '$';
    const size_t end = doubled ? close_dollar - 1 : close_dollar;
    const size_t open = end == 0 ? kNone : text.rfind('$', end - 1);
    if (open != kNone) consider(open, open + 1, end);
  }
  for (const auto& [left, right] : {std::pair{"\\(", "\\)"}, std::pair{"\\[", "\\]"}}) {
    const size_t end = text.rfind(right);
    const size_t open = end == kNone || end == 0 ? kNone : text.rfind(left, end - 1);
    if (open != kNone) consider(open, open + 2, end);
  }
  if (best == kNone || trimmed(content).empty()) return std::nullopt;
  return trimmed(content);
}

// What the phrases lead to: the rest of the line, and a formula's content if it is one.
std::optional<std::string_view> after_phrase(std::string_view text) {
  constexpr std::array<std::string_view, 4> kPhrases = {"answer is",
                                                        "answer:", "answer is:", "answer**:"};
  size_t begin = kNone;
  for (const std::string_view phrase : kPhrases) {
    const size_t end = end_of_last_phrase(text, phrase);
    if (end != kNone && (begin == kNone || end > begin)) begin = end;
  }
  if (begin == kNone) return std::nullopt;
  std::string_view rest = text.substr(begin);
  const size_t text_start = rest.find_first_not_of(" \t\n:*");
  if (text_start == kNone) return std::nullopt;
  rest.remove_prefix(text_start);
  rest = without_full_stop(rest.substr(0, rest.find('\n')));
  while (rest.ends_with('*')) rest.remove_suffix(1);
  if (rest.starts_with('$') || rest.starts_with("\\(")) {
    if (const auto formula = last_formula(rest)) return formula;
  }
  return without_full_stop(rest);
}

std::optional<FinalAnswer> checked(std::string_view text, AnswerMark mark, std::string& reason) {
  text = trimmed(text);
  if (!text.empty()) return FinalAnswer{text, mark};
  reason = "the answer is empty";
  return std::nullopt;
}

// The marks that may stand in the final part or inside the answer tags, from the strongest on.
// `marked` is set if one is there, even if it holds nothing usable.
std::optional<FinalAnswer> by_mark(std::string_view text, bool& marked, std::string& reason) {
  const auto box = last_box(text, marked);
  if (box) return checked(*box, AnswerMark::boxed, reason);
  if (marked) {
    reason = "a box is not closed";
    return std::nullopt;
  }
  marked = true;
  if (const size_t at = text.rfind("####"); at != kNone) {
    const std::string_view line = text.substr(at + 4);
    return checked(without_full_stop(line.substr(0, line.find('\n'))), AnswerMark::hashes, reason);
  }
  if (const auto phrase = after_phrase(text)) return checked(*phrase, AnswerMark::phrase, reason);
  marked = false;
  return std::nullopt;
}

}  // namespace

std::optional<FinalAnswer> final_answer(std::string_view completion, std::string& reason) {
  const std::string_view text = trimmed(after_thinking(completion));
  bool marked = false;
  if (text.find("<answer>") != kNone || text.find("</answer>") != kNone) {
    const auto inside = only_answer(text, reason);
    if (!inside) return std::nullopt;
    auto answer = by_mark(*inside, marked, reason);
    return marked ? answer : checked(*inside, AnswerMark::tag, reason);
  }
  auto answer = by_mark(text, marked, reason);
  if (marked) return answer;
  if (const auto formula = last_formula(text))
    return checked(*formula, AnswerMark::dollars, reason);
  if (text.size() <= 256 && text.find('\n') == kNone) {
    return checked(without_full_stop(text), AnswerMark::whole, reason);
  }
  reason = "no final answer is marked";
  return std::nullopt;
}

}  // namespace temper
