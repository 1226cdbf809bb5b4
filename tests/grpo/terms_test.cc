// The small functions of the objective by hand and at their kinks: clips, KL, weights, corrections,
// shaping.
#include <cmath>
#include <vector>

#include "core/error.h"
#include "grpo/aggregation.h"
#include "grpo/correction.h"
#include "grpo/kl.h"
#include "grpo/policy_term.h"
#include "grpo/shaping.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

PolicyTerm at_ratio(double ratio, double advantage, const ClipParams& clip = {}) {
  return clipped_term(std::log(ratio), advantage, clip);
}

void check_term(const PolicyTerm& term, double loss, double derivative) {
  CHECK(term.loss == Approx(loss).epsilon(1e-12).margin(1e-15));
  CHECK(term.dlogprob == Approx(derivative).epsilon(1e-12).margin(1e-15));
}

}  // namespace

TEST_CASE("clipped objective: the pessimistic one of the two terms counts, by hand") {
  check_term(at_ratio(1.1, 2.0), -2.2, -2.2);  // inside: ratio times advantage
  check_term(at_ratio(1.5, 2.0), -2.4, 0.0);   // better than the bound: no more to gain
  check_term(at_ratio(0.5, 2.0), -1.0, -1.0);  // worse: the whole gradient
  check_term(at_ratio(1.5, -2.0), 3.0, 3.0);
  check_term(at_ratio(0.5, -2.0), 1.6, 0.0);
  check_term(at_ratio(1.5, 0.0), 0.0, 0.0);
  CHECK(at_ratio(1.5, 2.0).clipped_high);
  CHECK_FALSE(at_ratio(1.5, 2.0).clipped_low);
  CHECK(at_ratio(0.5, -2.0).clipped_low);
  CHECK_FALSE(at_ratio(0.5, 2.0).clipped_low);  // out of bounds, but not clipped
  CHECK_FALSE(at_ratio(1.5, -2.0).clipped_high);
}

TEST_CASE("clipped objective: each bound holds exactly where it is set, and R1's 10 binds above") {
  const ClipParams clip{0.1, 0.3, 0.0};
  const double e = 1e-9;
  CHECK(at_ratio(1.3 - e, 1.0, clip).dlogprob == Approx(-1.3));
  CHECK(at_ratio(1.3 + e, 1.0, clip).dlogprob == 0.0);
  CHECK(at_ratio(0.9 + e, -1.0, clip).dlogprob == Approx(0.9));
  CHECK(at_ratio(0.9 - e, -1.0, clip).dlogprob == 0.0);
  for (double advantage : {1.0, -1.0})  // the loss itself has no jump
    for (double bound : {0.9, 1.3})
      CHECK(at_ratio(bound - e, advantage, clip).loss ==
            Approx(at_ratio(bound + e, advantage, clip).loss).margin(1e-8));
  const ClipParams r1{10.0, 10.0, 0.0};
  check_term(at_ratio(10.5, 1.0, r1), -10.5, -10.5);
  check_term(at_ratio(12.0, 1.0, r1), -11.0, 0.0);
  check_term(at_ratio(1e-6, -1.0, r1), 1e-6, 1e-6);  // 1 - 10 is below every ratio
}

TEST_CASE("clipped objective: dual clip bounds what a negative advantage can cost") {
  const ClipParams clip{0.2, 0.2, 3.0};
  check_term(at_ratio(2.9, -1.0, clip), 2.9, 2.9);
  check_term(at_ratio(3.5, -1.0, clip), 3.0, 0.0);
  CHECK(at_ratio(3.5, -1.0, clip).dual_clipped);
  check_term(at_ratio(3.5, 1.0, clip), -1.2, 0.0);
  check_term(at_ratio(3.5, -1.0), 3.5, 3.5);
}

TEST_CASE("clipped objective: a ratio past exp(20) is finite and has no gradient") {
  check_term(clipped_term(1000.0, -1.0, {}), std::exp(20.0), 0.0);
}

TEST_CASE("gspo: clips the sequence's ratio at its own small bounds") {
  const ClipParams clip{3e-4, 4e-4, 0.0};
  check_term(gspo_term(std::log(1.0003), 2.0, clip), -2.0006, -2.0006);
  check_term(gspo_term(std::log(1.001), 2.0, clip), -2.0008, 0.0);
  check_term(gspo_term(std::log(0.999), -1.0, clip), 0.9997, 0.0);
  CHECK(gspo_term(std::log(0.999), -1.0, clip).clipped_low);
  check_term(gspo_term(50.0, -1.0, clip), std::exp(10.0), 0.0);
}

TEST_CASE("cispo: a clipped weight, and a gradient at every token") {
  const ClipParams clip{1.0, 4.0, 0.0};  // no lower bound in effect
  const double logprob = -1.5;
  const auto at = [&](double ratio, double advantage) {
    return cispo_term(logprob, logprob - std::log(ratio), advantage, clip);
  };
  check_term(at(2.0, 0.5), 1.5, -1.0);       // -2 * 0.5 * -1.5
  check_term(at(9.0, 0.5), 3.75, -2.5);      // the weight is 5; the gradient stays
  check_term(at(0.01, -1.0), -0.015, 0.01);  // nothing is cut below
  CHECK(at(9.0, 0.5).clipped_high);
  CHECK_FALSE(at(2.0, 0.5).clipped_high);
  CHECK(cispo_term(-1.0, 0.0, 1.0, {0.2, 0.2, 0.0}).clipped_low);
}

TEST_CASE("kl: the three estimates and their derivatives by hand") {
  const double logprob = -1.0, reference = -1.0 + std::log(2.0), gap = std::log(2.0);
  const KlTerm k1 = kl_term(KlEstimator::k1, logprob, reference);
  const KlTerm k2 = kl_term(KlEstimator::k2, logprob, reference);
  const KlTerm k3 = kl_term(KlEstimator::k3, logprob, reference);
  CHECK(k1.value == Approx(-gap));
  CHECK(k1.dlogprob == 1.0);
  CHECK(k2.value == Approx(gap * gap / 2.0));
  CHECK(k2.dlogprob == Approx(-gap));
  CHECK(k3.value == Approx(1.0 - gap));
  CHECK(k3.dlogprob == Approx(1.0 - 2.0));
  for (const KlEstimator e : {KlEstimator::k1, KlEstimator::k2, KlEstimator::k3})
    CHECK(kl_term(e, -0.7, -0.7).value == 0.0);
}

TEST_CASE("kl: k3 is held at 10, where it has no gradient") {
  CHECK(kl_term(KlEstimator::k3, -4.0, 0.0).value == 10.0);  // e^4 - 5
  CHECK(kl_term(KlEstimator::k3, -4.0, 0.0).dlogprob == 0.0);
  CHECK(kl_term(KlEstimator::k3, 0.0, -30.0).value == 10.0);
  CHECK(kl_term(KlEstimator::k3, -2.0, 0.0).value == Approx(std::exp(2.0) - 3.0));
}

TEST_CASE("kl: the unbiased form weighs by the ratio, and its gradient is the KL's own") {
  const double logprob = -0.8, old = -1.1, reference = -1.4, ratio = std::exp(0.3);
  const KlTerm t = unbiased_kl_term(KlEstimator::k3, logprob, reference, old);
  CHECK(t.value == Approx(ratio * (std::exp(-0.6) + 0.6 - 1.0)));
  CHECK(t.dlogprob == Approx(ratio * (logprob - reference)));  // d sum p log(p/q), term by term
  const KlTerm on_policy = unbiased_kl_term(KlEstimator::k3, logprob, reference, logprob);
  CHECK(on_policy.value == Approx(kl_term(KlEstimator::k3, logprob, reference).value));
}

TEST_CASE("kl: under the policy's own samples k2's gradient and the unbiased one are the KL's") {
  // Three outcomes with logits z; the KL's gradient by z against the mean of the terms' gradient.
  const std::vector<double> p{0.5, 0.3, 0.2}, q{0.2, 0.2, 0.6};
  double kl = 0.0;
  for (size_t v = 0; v < 3; ++v) kl += p[v] * std::log(p[v] / q[v]);
  for (size_t j = 0; j < 3; ++j) {
    const double exact = p[j] * (std::log(p[j] / q[j]) - kl);
    double k1 = 0.0, k2 = 0.0, unbiased = 0.0;
    for (size_t v = 0; v < 3; ++v) {
      const double l = std::log(p[v]), r = std::log(q[v]), dl = (v == j) - p[j];
      k1 += p[v] * kl_term(KlEstimator::k1, l, r).dlogprob * dl;
      k2 += p[v] * kl_term(KlEstimator::k2, l, r).dlogprob * dl;
      unbiased += p[v] * unbiased_kl_term(KlEstimator::k3, l, r, l).dlogprob * dl;
    }
    CHECK(k1 == Approx(0.0).margin(1e-12));  // why k1 in the loss does nothing
    CHECK(k2 == Approx(exact));
    CHECK(unbiased == Approx(exact));
  }
}

TEST_CASE("aggregation: the four weights by hand") {
  const std::vector<LossSequence> batch{{0, 2}, {0, 6}, {1, 4}, {1, 0}};
  const auto check = [&](Aggregation kind, const std::vector<double>& want) {
    const std::vector<double> got = sequence_weights(kind, batch, 10.0);
    REQUIRE(got.size() == want.size());
    for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(want[i]));
  };
  check(Aggregation::sequence_mean, {1.0 / 8.0, 1.0 / 24.0, 1.0 / 16.0, 0.0});
  check(Aggregation::token_mean, {1.0 / 12.0, 1.0 / 12.0, 1.0 / 12.0, 0.0});
  check(Aggregation::constant, {1.0 / 40.0, 1.0 / 40.0, 1.0 / 40.0, 0.0});
  check(Aggregation::prompt_mean, {1.0 / 16.0, 1.0 / 16.0, 1.0 / 8.0, 0.0});
}

TEST_CASE("corrections: truncated and masked weights by hand") {
  const std::vector<double> old{std::log(0.5), std::log(0.9), std::log(0.2)};
  const std::vector<double> rollout{std::log(0.2), std::log(0.9), std::log(0.5)};  // 2.5, 1, 0.4
  const auto check = [&](CorrectionKind kind, double cap, double floor,
                         const std::vector<double>& want) {
    const std::vector<double> got = rollout_weights({kind, cap, floor}, old, rollout);
    REQUIRE(got.size() == want.size());
    for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(want[i]));
  };
  check(CorrectionKind::none, 2.0, 0.0, {});
  check(CorrectionKind::token, 2.0, 0.0, {2.0, 1.0, 0.4});
  check(CorrectionKind::token_mask, 2.0, 0.5, {0.0, 1.0, 0.0});
  check(CorrectionKind::token_mask, 5.0, 0.3, {2.5, 1.0, 0.4});
  check(CorrectionKind::sequence, 2.0, 0.0, {1.0, 1.0, 1.0});
  check(CorrectionKind::sequence, 0.7, 0.0, {0.7, 0.7, 0.7});
  check(CorrectionKind::sequence_mask, 3.0, 0.9, {1.0, 1.0, 1.0});
  check(CorrectionKind::sequence_mask, 0.9, 0.0, {0.0, 0.0, 0.0});
}

TEST_CASE("corrections: a sequence is off-policy where it was bad and has become unlikely") {
  const std::vector<double> rollout{-1.0, -1.0}, now{-1.2, -1.6};  // 0.4 nats a token
  CHECK(is_off_policy(-1.0, rollout, now, 0.3));
  CHECK_FALSE(is_off_policy(-1.0, rollout, now, 0.5));
  CHECK_FALSE(is_off_policy(1.0, rollout, now, 0.3));
  CHECK_FALSE(is_off_policy(0.0, rollout, now, 0.3));
  CHECK_FALSE(is_off_policy(-1.0, now, rollout, 0.3));
  CHECK_FALSE(is_off_policy(-1.0, {}, {}, 0.3));
}

TEST_CASE("shaping: DAPO's overlong punishment at its three parts") {
  CHECK(overlong_penalty(16384, 20480, 4096) == 0.0);
  CHECK(overlong_penalty(16384 + 1024, 20480, 4096) == -0.25);
  CHECK(overlong_penalty(20480, 20480, 4096) == -1.0);
  CHECK(overlong_penalty(20481, 20480, 4096) == -1.0);
  CHECK(overlong_penalty(1, 20480, 4096) == 0.0);
}

TEST_CASE("shaping: the KL of a completion is the sum over its tokens") {
  const std::vector<double> old{-1.0, -2.0}, reference{-1.5, -1.8};
  CHECK(sequence_kl(KlEstimator::k1, old, reference) == Approx(0.5 - 0.2));
  CHECK(sequence_kl(KlEstimator::k2, old, reference) == Approx(0.125 + 0.02));
  CHECK_THROWS_AS(sequence_kl(KlEstimator::k1, old, {}), ContractError);
}
