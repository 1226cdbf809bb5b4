#include "reward/rules/math.h"

#include "reward/math/extract.h"
#include "reward/math/number.h"
#include "reward/text.h"

namespace temper {
namespace {

std::string without_spaces(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != ' ' && c != '\t' && c != '\n') out += c;
  }
  return out;
}

class MathRule final : public RewardRule {
 public:
  Verdict score(const RewardInput& input) const override {
    std::string reason;
    const auto gold = final_answer(input.gold, reason);
    if (!gold) return verdict_bad_gold("gold: " + reason);
    const auto answer = final_answer(input.completion, reason);
    if (!answer) return verdict_no_answer(reason);
    const std::string extracted = shortened(answer->text, 200);
    const auto expected = parse_number(gold->text);
    if (!expected) {
      const bool same = without_spaces(gold->text) == without_spaces(answer->text);
      return same ? verdict_ok(extracted)
                  : verdict_wrong(extracted, "differs from the gold's text");
    }
    const auto found = parse_number(answer->text);
    if (!found) return verdict_wrong(extracted, "not a number, and the gold is one");
    if (*found == *expected) return verdict_ok(extracted);
    return verdict_wrong(extracted, "the gold is " + shortened(gold->text));
  }
};

}  // namespace

RuleInfo math_rule() {
  return {"math",
          "the final answer equals the gold exactly: 1 or 0",
          {},
          [](const RuleParameters&) -> std::unique_ptr<RewardRule> {
            return std::make_unique<MathRule>();
          }};
}

}  // namespace temper
