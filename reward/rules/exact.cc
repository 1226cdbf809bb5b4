#include "reward/rules/exact.h"

#include "reward/language/letters.h"
#include "reward/text.h"

namespace temper {
namespace {

class ExactRule final : public RewardRule {
 public:
  ExactRule(bool ignore_case, bool ignore_spaces)
      : ignore_case_(ignore_case), ignore_spaces_(ignore_spaces) {}

  Verdict score(const RewardInput& input) const override {
    const std::string gold = compared_form(input.gold);
    if (gold.empty()) return verdict_bad_gold("the gold is empty");
    std::string reason;
    const auto answer = answer_of(input.prompt, input.completion, reason);
    if (!answer) return verdict_no_answer(reason);
    if (compared_form(*answer) == gold) return verdict_ok(std::string(*answer));
    return verdict_wrong(shortened(*answer), "not " + shortened(gold));
  }

 private:
  std::string compared_form(std::string_view text) const {
    std::string form = ignore_spaces_ ? with_single_spaces(text) : std::string(trimmed(text));
    return ignore_case_ ? lowered(form) : form;
  }

  bool ignore_case_, ignore_spaces_;
};

}  // namespace

RuleInfo exact_rule() {
  return {"exact",
          "the answer is the gold, letter by letter: 1 or 0",
          {{"case", "keep", "whether capitals count", {"keep", "ignore"}},
           {"spaces", "keep", "whether runs of white space count", {"keep", "ignore"}}},
          [](const RuleParameters& parameters) -> std::unique_ptr<RewardRule> {
            return std::make_unique<ExactRule>(parameters.text("case") == "ignore",
                                               parameters.text("spaces") == "ignore");
          }};
}

}  // namespace temper
