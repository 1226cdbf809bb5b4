#include "reward/rules/mcq.h"

#include <algorithm>
#include <optional>

#include "core/linear_regex.h"
#include "reward/language/letters.h"
#include "reward/text.h"

namespace temper {
namespace {

constexpr std::string_view kBox = "\\boxed{";

// The texts of the row's choices; empty if it has none.
std::vector<std::string> choices_of(const JsonValue* row) {
  std::vector<std::string> texts;
  const JsonValue* choices = row == nullptr ? nullptr : find_member(*row, "choices");
  if (choices == nullptr && row != nullptr) choices = find_member(*row, "options");
  if (choices != nullptr && choices->IsObject()) choices = find_member(*choices, "text");
  if (choices == nullptr || !choices->IsArray()) return texts;
  for (const JsonValue& choice : choices->GetArray()) texts.push_back(value_text(choice));
  return texts;
}

std::string plain(std::string_view text) {
  std::string form = lowered(with_single_spaces(text));
  while (form.ends_with('.')) form.pop_back();
  return form;
}

class McqRule final : public RewardRule {
 public:
  McqRule()
      : letter_(R"(\*{0,2}(?:\\text\{)?\s*[(\[]?([A-Za-z])\s*[)\].:]{0,2}\s*\}?\*{0,2}[.]?)",
                "mcq"),
        letter_first_(R"((?s)\*{0,2}[(\[]?([A-Z])[)\].:]{1,2}\s+(.+))", "mcq"),
        phrase_(R"((?i)answer(?:\s+is|\s*:|\s+is\s*:)\**\s*([^\n]*))", "mcq"),
        others_(R"(\b[A-Z]\b)", "mcq") {}

  Verdict score(const RewardInput& input) const override {
    const std::vector<std::string> choices = choices_of(input.row);
    const std::optional<char> gold = gold_letter(input, choices);
    if (!gold) return verdict_bad_gold("the gold is no letter of a choice");
    std::string reason;
    const std::optional<std::string> text = candidate(input, reason);
    if (!text) return verdict_no_answer(reason);
    const std::optional<char> letter = letter_of(*text, choices);
    if (!letter) return verdict_no_answer("no single letter in " + shortened(*text));
    for (const std::string& box : boxes_of(input)) {
      const std::optional<char> other = letter_of(box, choices);
      if (other && *other != *letter) return verdict_no_answer("boxes of two letters");
    }
    const std::string found(1, *letter);
    if (*letter == *gold) return verdict_ok(found);
    return verdict_wrong(found, std::string("not ") + *gold);
  }

 private:
  std::optional<char> gold_letter(const RewardInput& input,
                                  const std::vector<std::string>& choices) const {
    const std::string_view gold = trimmed(input.gold);
    const bool number = !gold.empty() && gold.size() <= 2 &&
                        gold.find_first_not_of("0123456789") == std::string_view::npos;
    if (number && !choices.empty() && !as_choice(gold, choices)) {
      const size_t index = std::stoul(std::string(gold));
      if (index < choices.size()) return static_cast<char>('A' + index);
      return std::nullopt;
    }
    return letter_of(std::string(gold), choices);
  }

  static std::optional<char> as_choice(std::string_view text,
                                       const std::vector<std::string>& choices) {
    std::optional<char> letter;
    for (size_t i = 0; i < std::min<size_t>(26, choices.size()); ++i) {
      if (plain(choices[i]) != plain(text)) continue;
      if (letter) return std::nullopt;  // two choices of one text
      letter = static_cast<char>('A' + i);
    }
    return letter;
  }

  // The letter that `text` names; nullopt if it names none, or might name two.
  std::optional<char> letter_of(const std::string& text,
                                const std::vector<std::string>& choices) const {
    if (const auto choice = as_choice(text, choices)) return choice;
    std::string_view letter;
    const std::string_view whole = trimmed(text);
    const auto alone = letter_.search(whole);
    if (!alone.empty() && alone[0]->size() == whole.size()) {
      letter = *alone[1];
    } else if (letter_first_.matches(whole)) {
      const auto groups = letter_first_.search(whole);
      const std::string_view rest = *groups[2];
      // "B) or C)" is two answers; with choices the rest must be the letter's own.
      const auto own = as_choice(rest, choices);
      if (!choices.empty() && own != groups[1]->front()) return std::nullopt;
      if (choices.empty() && !others_.search(rest).empty()) return std::nullopt;
      letter = *groups[1];
    }
    if (letter.empty()) return std::nullopt;
    const char c = letter.front() >= 'a' ? static_cast<char>(letter.front() - 32) : letter.front();
    if (!choices.empty() && static_cast<size_t>(c - 'A') >= choices.size()) return std::nullopt;
    return c;
  }

  // What the boxes of the text hold, of boxes in boxes the inmost; empty if one is not closed.
  static std::vector<std::string> boxes_in(std::string_view text) {
    std::vector<std::string> boxes;
    std::vector<std::pair<size_t, size_t>> open;  // the content's begin and the depth of a box
    size_t depth = 0, last = 0;                   // last: where the latest box begins
    for (size_t at = 0; at < text.size(); ++at) {
      if (text.substr(at).starts_with(kBox)) {
        at += kBox.size() - 1;
        last = at + 1;
        open.emplace_back(last, depth++);
      } else if (text[at] == '{' && !open.empty()) {
        ++depth;
      } else if (text[at] == '}' && !open.empty() && --depth == open.back().second) {
        const size_t begin = open.back().first;
        if (begin == last) boxes.emplace_back(text.substr(begin, at - begin));
        open.pop_back();
      }
    }
    return open.empty() ? boxes : std::vector<std::string>();
  }

  static std::vector<std::string> boxes_of(const RewardInput& input) {
    std::string reason;
    const auto answer = answer_of(input.prompt, input.completion, reason);
    return answer ? boxes_in(*answer) : std::vector<std::string>();
  }

  // The text that is to name the letter.
  std::optional<std::string> candidate(const RewardInput& input, std::string& reason) const {
    const auto answer = answer_of(input.prompt, input.completion, reason);
    if (!answer) return std::nullopt;
    std::string_view text = *answer;
    if (text.find(kBox) != std::string_view::npos) {
      std::vector<std::string> boxes = boxes_in(text);
      if (!boxes.empty()) return std::move(boxes.back());
      reason = "the box is not closed";
      return std::nullopt;
    }
    const auto phrases = phrase_.search_all(text);
    if (!phrases.empty()) return std::string(trimmed(*phrases.back()[1]));
    return std::string(text);
  }

  LinearRegex letter_, letter_first_, phrase_, others_;
};

}  // namespace

RuleInfo mcq_rule() {
  return {"mcq",
          "the letter of the right choice, and no other: 1 or 0",
          {},
          [](const RuleParameters&) -> std::unique_ptr<RewardRule> {
            return std::make_unique<McqRule>();
          }};
}

}  // namespace temper
