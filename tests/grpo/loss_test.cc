// The GRPO objective by hand, at its kinks, and against its difference quotient.
#include "grpo/loss.h"

#include <cmath>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "grpo/advantage.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

struct TokenResult {
  double loss = 0.0, derivative = 0.0;
  GrpoTokenSums sums;
};

// One token with ratio `ratio` and advantage `advantage`.
TokenResult one_token(double ratio, double advantage, const GrpoLossParams& params = {},
                      double reference_gap = 0.0) {
  const double logprob = -1.3, old = logprob - std::log(ratio), ref = logprob + reference_gap;
  TokenResult r;
  r.sums = grpo_sequence_loss({&r.derivative, 1}, {{&logprob, 1}, {&old, 1}, {&ref, 1}, advantage},
                              1.0, params);
  r.loss = r.sums.loss;
  return r;
}

void check_token(const TokenResult& r, double loss, double derivative) {
  CHECK(r.loss == Approx(loss).epsilon(1e-12));
  CHECK(r.derivative == Approx(derivative).epsilon(1e-12));
}

}  // namespace

TEST_CASE("grpo loss: the pessimistic one of the two terms counts, by hand") {
  check_token(one_token(1.1, 2.0), -2.2, -2.2);  // inside: ratio times advantage
  check_token(one_token(1.5, 2.0), -2.4, 0.0);   // better than the bound: no more to gain
  check_token(one_token(0.5, 2.0), -1.0, -1.0);  // worse: the whole gradient
  check_token(one_token(1.5, -2.0), 3.0, 3.0);
  check_token(one_token(0.5, -2.0), 1.6, 0.0);
  check_token(one_token(1.5, 0.0), 0.0, 0.0);
  CHECK(one_token(1.5, 2.0).sums.clipped_high == 1.0);
  CHECK(one_token(1.5, 2.0).sums.clipped_low == 0.0);
  CHECK(one_token(0.5, -2.0).sums.clipped_low == 1.0);
  CHECK(one_token(0.5, 2.0).sums.clipped_low == 0.0);  // out of bounds, but not clipped
  CHECK(one_token(1.5, -2.0).sums.clipped_high == 0.0);
  CHECK(one_token(1.25, 1.0).sums.ratio_max == Approx(1.25));
  CHECK(one_token(1.25, 1.0).sums.old_minus_policy == Approx(-std::log(1.25)));
}

TEST_CASE("grpo loss: each bound holds exactly where it is set") {
  const GrpoLossParams params{.clip_low = 0.1, .clip_high = 0.3};
  const double e = 1e-9;
  CHECK(one_token(1.3 - e, 1.0, params).derivative == Approx(-1.3));
  CHECK(one_token(1.3 + e, 1.0, params).derivative == 0.0);
  CHECK(one_token(0.9 + e, -1.0, params).derivative == Approx(0.9));
  CHECK(one_token(0.9 - e, -1.0, params).derivative == 0.0);
  for (double advantage : {1.0, -1.0})  // the loss itself has no jump
    for (double bound : {0.9, 1.3})
      CHECK(one_token(bound - e, advantage, params).loss ==
            Approx(one_token(bound + e, advantage, params).loss).margin(1e-8));
}

TEST_CASE("grpo loss: dual clip bounds what a negative advantage can cost") {
  const GrpoLossParams params{.dual_clip = 3.0};
  check_token(one_token(2.9, -1.0, params), 2.9, 2.9);
  check_token(one_token(3.5, -1.0, params), 3.0, 0.0);
  check_token(one_token(3.5, 1.0, params), -1.2, 0.0);
  check_token(one_token(3.5, -1.0, {}), 3.5, 3.5);
}

TEST_CASE("grpo loss: a ratio past exp(20) is finite and has no gradient") {
  const double logprob = 0.0, old = -1000.0;
  double derivative = 1.0;
  const GrpoTokenSums sums =
      grpo_sequence_loss({&derivative, 1}, {{&logprob, 1}, {&old, 1}, {}, -1.0}, 1.0, {});
  CHECK(sums.loss == Approx(std::exp(20.0)));
  CHECK(derivative == 0.0);
}

TEST_CASE("grpo loss: k3 and its derivative by hand; it is 0 only at the reference") {
  const GrpoLossParams params{.kl_coef = 0.25};
  const TokenResult r = one_token(1.0, 0.0, params, std::log(2.0));
  CHECK(r.sums.kl == Approx(1.0 - std::log(2.0)));
  check_token(r, 0.25 * (1.0 - std::log(2.0)), 0.25 * (1.0 - 2.0));
  check_token(one_token(1.0, 0.0, params, 0.0), 0.0, 0.0);
  CHECK(one_token(1.0, 0.0, params, -0.7).sums.kl > 0.0);
}

TEST_CASE("grpo loss: a weight scales loss and gradient and nothing else") {
  const std::vector<double> logprob{-0.5, -2.0, -0.1}, old{-0.6, -1.5, -0.4}, ref{-0.7, -1.8, 0.0};
  std::vector<double> once(3), half(3);
  const GrpoSequence s{logprob, old, ref, 0.8};
  const GrpoTokenSums a = grpo_sequence_loss(once, s, 1.0, {.kl_coef = 0.1});
  const GrpoTokenSums b = grpo_sequence_loss(half, s, 0.5, {.kl_coef = 0.1});
  CHECK(b.loss == Approx(0.5 * a.loss));
  for (size_t t = 0; t < 3; ++t) CHECK(half[t] == Approx(0.5 * once[t]));
  CHECK(b.kl == a.kl);
  CHECK(b.policy == a.policy);
  CHECK(a.loss == Approx(a.policy + 0.1 * a.kl));
}

TEST_CASE("grpo loss: the gradient is the difference quotient of the loss") {
  Random random(3, RandomStream::data);
  const auto draw = [&](double center, double spread) {
    std::vector<double> out;
    for (int t = 0; t < 12; ++t) out.push_back(center + spread * random.normal());
    return out;
  };
  const double h = 1e-5;
  int kinks = 0, checked = 0;
  for (int round = 0; round < 40; ++round) {
    std::vector<double> logprob = draw(-1.0, 0.5);
    const std::vector<double> old = draw(-1.0, 0.5), ref = draw(-1.0, 0.5);
    const GrpoLossParams params{.clip_low = 0.2,
                                .clip_high = round % 2 ? 0.2 : 0.4,
                                .dual_clip = round % 3 == 0 ? 1.5 : 0.0,
                                .kl_coef = round % 4 ? 0.3 : 0.0};
    const double advantage = random.normal();
    std::vector<double> gradient(12), unused(12);
    const auto loss = [&](std::vector<double>& into) {
      return grpo_sequence_loss(into, {logprob, old, ref, advantage}, 0.7, params).loss;
    };
    loss(gradient);
    for (size_t t = 0; t < 12; ++t) {
      const double ratio = std::exp(logprob[t] - old[t]);
      bool kink = false;  // within h of a bound the quotient sees both sides
      for (double bound : {1.0 - params.clip_low, 1.0 + params.clip_high, params.dual_clip})
        kink = kink || std::abs(ratio - bound) < 20.0 * h;
      if (kink) {
        ++kinks;
        continue;
      }
      const double kept = logprob[t];
      logprob[t] = kept + h;
      const double up = loss(unused);
      logprob[t] = kept - h;
      const double down = loss(unused);
      logprob[t] = kept;
      REQUIRE(gradient[t] == Approx((up - down) / (2.0 * h)).margin(1e-8));
      ++checked;
    }
  }
  CHECK(checked > 400);
  CHECK(kinks < 10);
}

TEST_CASE("grpo loss: arrays of unlike lengths and a missing reference are our bugs") {
  const std::vector<double> two{-1.0, -2.0}, one{-1.0};
  std::vector<double> out(2);
  CHECK_THROWS_AS(grpo_sequence_loss(out, {two, one, {}, 1.0}, 1.0, {}), ContractError);
  CHECK_THROWS_AS(grpo_sequence_loss(out, {two, two, {}, 1.0}, 1.0, {.kl_coef = 0.1}),
                  ContractError);
}

TEST_CASE("advantages: by hand, and 0 for a group without signal") {
  const std::vector<double> rewards{1.0, 0.0, 0.0, 0.0};
  const std::vector<double> a = group_advantages(rewards);
  CHECK(a[0] == Approx(0.75 / (0.5 + 1e-6)).epsilon(1e-12));
  CHECK(a[3] == Approx(-0.25 / (0.5 + 1e-6)).epsilon(1e-12));
  CHECK_FALSE(is_zero_signal(rewards));
  for (const std::vector<double>& flat :
       {std::vector<double>{0.3, 0.3, 0.3}, {0.0}, {-1.0, -1.0}}) {
    CHECK(is_zero_signal(flat));
    for (double x : group_advantages(flat)) CHECK(x == 0.0);
  }
}
