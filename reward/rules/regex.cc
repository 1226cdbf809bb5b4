#include "reward/rules/regex.h"

#include <optional>

#include "core/error.h"
#include "core/linear_regex.h"
#include "core/utf8.h"
#include "reward/text.h"

namespace temper {
namespace {

class RegexRule final : public RewardRule {
 public:
  explicit RegexRule(const RuleParameters& parameters)
      : ignore_case_(parameters.text("case") == "ignore"),
        whole_(parameters.text("match") == "whole"),
        part_(parameters.text("part")) {
    const std::string& pattern = parameters.text("pattern");
    if (!pattern.empty()) pattern_.emplace(pattern, "rule regex", ignore_case_);
  }

  Verdict score(const RewardInput& input) const override {
    if (pattern_) return judge(*pattern_, input);
    if (input.gold.empty()) return verdict_bad_gold("no pattern: the row has no gold");
    try {
      return judge(LinearRegex(input.gold, "gold", ignore_case_), input);
    } catch (const UserError& error) {
      return verdict_bad_gold(error.blame().what);
    }
  }

 private:
  Verdict judge(const LinearRegex& pattern, const RewardInput& input) const {
    std::string_view text = input.completion;
    if (part_ == "answer") {
      std::string reason;
      const auto answer = answer_of(input.prompt, input.completion, reason);
      if (!answer) return verdict_no_answer(reason);
      text = *answer;
    } else if (part_ == "final") {
      if (thinks_without_end(input.prompt, input.completion)) {
        return verdict_no_answer("the thinking is not closed");
      }
      text = final_part(text);
    }
    const std::string subject = repair_utf8(text);
    if (whole_) {
      return pattern.matches(subject) ? verdict_ok(subject)
                                      : verdict_wrong(shortened(subject), "does not match");
    }
    const auto groups = pattern.search(subject);
    return groups.empty() ? verdict_wrong(shortened(subject), "does not match")
                          : verdict_ok(std::string(*groups[0]));
  }

  bool ignore_case_, whole_;
  std::string part_;
  std::optional<LinearRegex> pattern_;
};

}  // namespace

RuleInfo regex_rule() {
  return {"regex",
          "the answer matches a pattern, the gold unless given: 1 or 0",
          {{"pattern", "", "the regular expression; none: the row's gold"},
           {"match", "whole", "whether all of the text must match", {"whole", "search"}},
           {"part", "answer", "what is judged", {"answer", "final", "all"}},
           {"case", "keep", "whether capitals count", {"keep", "ignore"}}},
          [](const RuleParameters& parameters) -> std::unique_ptr<RewardRule> {
            return std::make_unique<RegexRule>(parameters);
          }};
}

}  // namespace temper
