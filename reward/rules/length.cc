#include "reward/rules/length.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/options.h"

namespace temper {
namespace {

// The tokens of the completion; -1 if nobody counted them.
int64_t tokens_of(const RewardInput& input) {
  if (input.completion_tokens >= 0 || input.row == nullptr) return input.completion_tokens;
  const JsonValue* tokens = find_member(*input.row, "tokens");
  return tokens != nullptr && tokens->IsInt64() ? tokens->GetInt64() : -1;
}

class LengthRule : public RewardRule {
 public:
  Verdict score(const RewardInput& input) const override {
    const int64_t tokens = tokens_of(input);
    if (tokens < 0) return verdict_bad_gold("the number of tokens is not known");
    Verdict verdict = verdict_ok({});
    verdict.value = value_of(static_cast<double>(tokens));
    verdict.reason = std::to_string(tokens) + " tokens";
    if (verdict.value < full_value()) verdict.status = VerdictStatus::wrong;
    return verdict;
  }

 private:
  virtual double value_of(double tokens) const = 0;
  virtual double full_value() const = 0;
};

class OverlongRule final : public LengthRule {
 public:
  OverlongRule(double most, double soft) : most_(most), soft_(soft) {}

 private:
  double value_of(double tokens) const override {
    if (tokens > most_) return -1.0;
    return std::clamp((most_ - soft_ - tokens) / soft_, -1.0, 0.0);
  }
  double full_value() const override { return 0.0; }

  double most_, soft_;
};

class CosineRule final : public LengthRule {
 public:
  CosineRule(double most, double at_zero, double at_most, double over)
      : most_(most), at_zero_(at_zero), at_most_(at_most), over_(over) {}

 private:
  double value_of(double tokens) const override {
    if (tokens > most_) return over_;
    return at_most_ +
           0.5 * (at_zero_ - at_most_) * (1.0 + std::cos(std::numbers::pi * tokens / most_));
  }
  double full_value() const override { return std::max({at_zero_, at_most_, over_}); }

  double most_, at_zero_, at_most_, over_;
};

std::unique_ptr<RewardRule> make_length(const RuleParameters& p) {
  const auto most = static_cast<double>(p.integer("max_tokens"));
  const auto soft = static_cast<double>(p.integer("soft_tokens"));
  if (most < 1 || soft < 1 || soft > most) {
    throw UserError(
        {.what = "bad limits of reward rule 'length'",
         .expected = "1 <= soft_tokens <= max_tokens",
         .found = "soft_tokens " + option_text(soft) + ", max_tokens " + option_text(most)});
  }
  if (p.text("variant") == "overlong") return std::make_unique<OverlongRule>(most, soft);
  return std::make_unique<CosineRule>(most, p.number("short"), p.number("long"), p.number("over"));
}

}  // namespace

RuleInfo length_rule() {
  return {"length",
          "a penalty for completions near the limit, or a cosine of the length in tokens",
          {{"variant", "overlong", "DAPO's soft punishment, or a cosine", {"overlong", "cosine"}},
           {"max_tokens", "", "the length that counts as too long; must be given"},
           {"soft_tokens", "1", "overlong: the last tokens before it, over which it falls to -1"},
           {"short", "1", "cosine: the value at no tokens"},
           {"long", "0.5", "cosine: the value at max_tokens"},
           {"over", "0", "cosine: the value above max_tokens"}},
          make_length};
}

}  // namespace temper
