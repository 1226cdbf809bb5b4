#include "reward/rules/gsm8k.h"

#include <algorithm>

#include "core/linear_regex.h"
#include "reward/text.h"

namespace temper {
namespace {

// What lm-eval compares: without "," and "$", all up to the last "#### " and one final "."
std::string compared_form(std::string_view text) {
  constexpr std::string_view kMark = "#### ";
  std::string form;
  std::copy_if(text.begin(), text.end(), std::back_inserter(form),
               [](char c) { return c != ',' && c != '$'; });
  const size_t mark = form.rfind(kMark);
  if (mark != std::string::npos) form.erase(0, mark + kMark.size());
  if (form.ends_with('.')) form.pop_back();
  return std::string(trimmed(form));
}

class Gsm8kRule final : public RewardRule {
 public:
  explicit Gsm8kRule(bool strict)
      : strict_(strict),
        number_(strict ? R"(#### (-?[0-9.,]+))" : R"(-?[$0-9.,]{2,}|-?[0-9]+)", "gsm8k") {}

  Verdict score(const RewardInput& input) const override {
    const std::string gold = compared_form(input.gold);
    if (gold.find_first_of("0123456789") == std::string::npos) {
      return verdict_bad_gold("the gold is no number");
    }
    if (thinks_without_end(input.prompt, input.completion)) {
      return verdict_no_answer("the thinking is not closed");
    }
    const std::string_view text = final_part(input.completion);
    const std::string_view found = strict_ ? first_marked(text) : last_number(text);
    if (found.empty()) {
      return verdict_no_answer(strict_ ? "no number after ####" : "no number");
    }
    const std::string answer = compared_form(found);
    if (answer == gold) return verdict_ok(std::string(found));
    return verdict_wrong(std::string(shortened(found)), "not " + shortened(gold));
  }

 private:
  std::string_view first_marked(std::string_view text) const {
    const auto groups = number_.search(text);
    return groups.empty() ? std::string_view() : *groups[1];
  }
  std::string_view last_number(std::string_view text) const {
    const auto all = number_.search_all(text);
    return all.empty() ? std::string_view() : *all.back()[0];
  }

  bool strict_;
  LinearRegex number_;
};

}  // namespace

RuleInfo gsm8k_rule() {
  return {"gsm8k",
          "the final number is the gold's, as lm-eval reads both: 1 or 0",
          {{"mode", "strict", "after ####, or the last number", {"strict", "flexible"}}},
          [](const RuleParameters& parameters) -> std::unique_ptr<RewardRule> {
            return std::make_unique<Gsm8kRule>(parameters.text("mode") == "strict");
          }};
}

}  // namespace temper
