#include "reward/rules/math.h"

#include "reward/math/checker.h"

namespace temper {
namespace {

class MathRule final : public RewardRule {
 public:
  explicit MathRule(const CompareOptions& options) : options_(options) {}

  Verdict score(const RewardInput& input) const override {
    return check_math(input.gold, input.completion, options_);
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
