#include "reward/rules/math.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include "reward/math/checker.h"
#include "reward/text.h"

namespace temper {
namespace {

// Whether the prompt asks for a percentage in words: "25% of 8" does not.
bool asks_for_percentage(std::string_view prompt) {
  constexpr std::string_view kPhrases[] = {"percentage", "what percent", "as a percent",
                                           "in percent", "how many percent"};
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; };
  return std::any_of(std::begin(kPhrases), std::end(kPhrases), [&](std::string_view phrase) {
    return std::search(prompt.begin(), prompt.end(), phrase.begin(), phrase.end(), same) !=
           prompt.end();
  });
}

class MathRule final : public RewardRule {
 public:
  explicit MathRule(const CompareOptions& options) : options_(options) {}

  Verdict score(const RewardInput& input) const override {
    // The gold is looked at first: a row that nobody can get right is no fault of the model's.
    const bool unfinished = thinks_without_end(input.prompt, input.completion);
    CompareOptions options = options_;
    options.percent_asked = asks_for_percentage(input.prompt);
    Verdict verdict = check_math(input.gold, unfinished ? "" : input.completion, options);
    if (unfinished && verdict.status == VerdictStatus::no_answer) {
      verdict.reason = "the thinking is not closed";
    }
    return verdict;
  }

 private:
  CompareOptions options_;
};

}  // namespace

RuleInfo math_rule() {
  return {"math",
          "the final answer equals the gold exactly: 1 or 0",
          {{"inequality", "no", "an inequality may answer for an interval", {"no", "yes"}}},
          [](const RuleParameters& parameters) -> std::unique_ptr<RewardRule> {
            return std::make_unique<MathRule>(
                CompareOptions{.inequality_for_interval = parameters.text("inequality") == "yes"});
          }};
}

}  // namespace temper
