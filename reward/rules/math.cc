#include "reward/rules/math.h"

#include "reward/math/checker.h"
#include "reward/text.h"

namespace temper {
namespace {

class MathRule final : public RewardRule {
 public:
  explicit MathRule(const CompareOptions& options) : options_(options) {}

  Verdict score(const RewardInput& input) const override {
    // The gold is looked at first: a row that nobody can get right is no fault of the model's.
    const bool unfinished = thinks_without_end(input.prompt, input.completion);
    Verdict verdict = check_math(input.gold, unfinished ? "" : input.completion, options_);
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
