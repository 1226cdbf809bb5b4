// The objective of a sequence: its parts add up, its gradient is its difference quotient in f64
// under every switch, and no split of a batch changes it.
#include "grpo/loss.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "grpo/aggregation.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

using Values = std::vector<double>;

// A sequence of random log-probabilities, and the loss of it under some switches.
struct Example {
  Example(uint32_t round, size_t tokens) {
    Random random(3, RandomStream::data, round);
    const auto draw = [&](double center, double spread) {
      Values out;
      for (size_t t = 0; t < tokens; ++t) out.push_back(center + spread * random.normal());
      return out;
    };
    logprob = draw(-1.0, 0.5), old = draw(-1.0, 0.5), reference = draw(-1.0, 0.5);
    rollout = draw(-1.0, 0.5), entropy = draw(2.0, 0.3);
    advantage = random.normal();
  }
  GrpoSequence sequence() const {
    GrpoSequence s{.logprob = logprob, .old = old, .reference = reference};
    s.advantage = advantage, s.rollout = rollout, s.entropy = entropy;
    s.token_advantages = token_advantages;
    return s;
  }
  GrpoTokenSums run(const GrpoLossParams& params, double weight = 1.0) {
    dlogprob.assign(logprob.size(), 0.0), dentropy.assign(logprob.size(), 0.0);
    return grpo_sequence_loss({dlogprob, dentropy}, sequence(), weight, params);
  }
  Values logprob, old, reference, rollout, entropy, token_advantages, dlogprob, dentropy;
  double advantage = 0.0;
};

// Every switch of the objective, some together.
std::vector<GrpoLossParams> all_switches() {
  std::vector<GrpoLossParams> out;
  const auto add = [&](auto&& change) { change(out.emplace_back()); };
  for (const PolicyObjective objective :
       {PolicyObjective::clipped, PolicyObjective::gspo, PolicyObjective::cispo}) {
    add([&](auto& p) { p.objective = objective; });
    add([&](auto& p) { p.objective = objective, p.clip = {0.3, 0.5, 0.0}; });
    add([&](auto& p) { p.objective = objective, p.entropy_coef = 0.2; });
    add([&](auto& p) { p.objective = objective, p.off_policy_delta = 0.05; });
    for (const CorrectionKind kind : {CorrectionKind::sequence, CorrectionKind::sequence_mask})
      add([&](auto& p) { p.objective = objective, p.correction = {kind, 2.0, 0.2}; });
    for (const KlEstimator kl : {KlEstimator::k1, KlEstimator::k2, KlEstimator::k3})
      for (const bool unbiased : {false, true})
        add([&](auto& p) {
          p.objective = objective, p.kl_coef = 0.3, p.kl = kl, p.kl_unbiased = unbiased;
        });
  }
  for (const CorrectionKind kind : {CorrectionKind::token, CorrectionKind::token_mask}) {
    add([&](auto& p) { p.correction = {kind, 1.3, 0.7}; });
    add([&](auto& p) { p.objective = PolicyObjective::cispo, p.correction = {kind, 1.3, 0.7}; });
  }
  add([&](auto& p) { p.clip.dual = 1.5; });
  return out;
}

// The loss as the gradient sees it: CISPO's weights are constants.
double frozen_loss(Example& e, const GrpoLossParams& p, const Values& at) {
  if (p.objective != PolicyObjective::cispo) return e.run(p, 0.7).loss;
  GrpoLossParams rest = p;  // everything but the policy term
  rest.objective = PolicyObjective::clipped;
  const GrpoTokenSums sums = e.run(rest, 0.7);
  double loss = sums.kl_loss - sums.entropy_bonus;
  const Values c = rollout_weights(p.correction, e.old, e.rollout);
  if (p.off_policy_delta > 0.0 && is_off_policy(e.advantage, e.rollout, at, p.off_policy_delta))
    return loss;
  for (size_t t = 0; t < at.size(); ++t) {
    const double weight =
        std::clamp(std::exp(at[t] - e.old[t]), 1.0 - p.clip.low, 1.0 + p.clip.high);
    loss -= 0.7 * (c.empty() ? 1.0 : c[t]) * weight * e.advantage * e.logprob[t];
  }
  return loss;
}

// Whether a bound lies within the reach of the difference quotient, which then sees both sides.
bool near_kink(const Example& e, const GrpoLossParams& p, size_t t, double h) {
  double ratio = std::exp(e.logprob[t] - e.old[t]), mean = 0.0, gap = 0.0;
  for (size_t i = 0; i < e.logprob.size(); ++i) {
    mean += (e.logprob[i] - e.old[i]) / static_cast<double>(e.logprob.size());
    gap += (e.rollout[i] - e.logprob[i]) / static_cast<double>(e.logprob.size());
  }
  if (p.objective == PolicyObjective::gspo) ratio = std::exp(mean);
  bool kink = p.off_policy_delta > 0.0 && std::abs(gap - p.off_policy_delta) < 20.0 * h;
  for (double bound : {1.0 - p.clip.low, 1.0 + p.clip.high, p.clip.dual})
    kink = kink || std::abs(ratio - bound) < 20.0 * h;
  return kink;
}

}  // namespace

TEST_CASE("grpo loss: the gradient is the difference quotient under every switch") {
  const double h = 1e-5;
  int kinks = 0, checked = 0;
  for (const GrpoLossParams& params : all_switches())
    for (uint32_t round = 0; round < 8; ++round) {
      Example e(round, 12);
      e.run(params, 0.7);
      const Values gradient = e.dlogprob, base = e.logprob;
      for (size_t t = 0; t < base.size(); ++t) {
        if (near_kink(e, params, t, h)) {
          ++kinks;
          continue;
        }
        e.logprob[t] = base[t] + h;
        const double up = frozen_loss(e, params, base);
        e.logprob[t] = base[t] - h;
        const double down = frozen_loss(e, params, base);
        e.logprob[t] = base[t];
        REQUIRE(gradient[t] == Approx((up - down) / (2.0 * h)).margin(1e-8));
        ++checked;
      }
    }
  CHECK(checked > 3000);
  CHECK(kinks < checked / 10);
}

TEST_CASE("grpo loss: the gradient by the entropy is the difference quotient") {
  const GrpoLossParams params{.entropy_coef = 0.4};
  Example e(1, 6);
  e.run(params, 0.3);
  const Values gradient = e.dentropy;
  for (size_t t = 0; t < 6; ++t) {
    Example up = e, down = e;
    up.entropy[t] += 1e-4, down.entropy[t] -= 1e-4;
    CHECK(gradient[t] == Approx((up.run(params, 0.3).loss - down.run(params, 0.3).loss) / 2e-4));
  }
}

TEST_CASE("grpo loss: its parts add up, and a weight scales them and the gradient alone") {
  GrpoLossParams params{.kl_coef = 0.1, .entropy_coef = 0.05};
  params.correction = {CorrectionKind::token, 1.5, 0.0};
  Example a(2, 9), b(2, 9);
  const GrpoTokenSums once = a.run(params, 1.0), half = b.run(params, 0.5);
  CHECK(once.loss == Approx(once.policy + 0.1 * once.kl - 0.05 * once.entropy));
  CHECK(half.loss == Approx(0.5 * once.loss));
  CHECK(half.kl == once.kl);
  CHECK(half.policy == once.policy);
  CHECK(half.ratio_max == once.ratio_max);
  CHECK(once.tokens == 9.0);
  for (size_t t = 0; t < 9; ++t) CHECK(b.dlogprob[t] == Approx(0.5 * a.dlogprob[t]));
}

TEST_CASE("grpo loss: a correction weighs the policy term and leaves the KL") {
  Example e(4, 5);
  const double plain = e.run({}).policy;
  GrpoLossParams params;
  params.correction = {CorrectionKind::sequence, 0.5, 0.0};
  e.rollout = e.old;  // a weight of 1, cut at 0.5
  CHECK(e.run(params).policy == Approx(0.5 * plain));
  params.kl_coef = 0.2;
  const GrpoTokenSums sums = e.run(params);
  CHECK(sums.loss == Approx(0.5 * plain + 0.2 * sums.kl));
}

TEST_CASE("grpo loss: a sequence that is off-policy keeps its KL term only") {
  Example e(5, 4);
  e.advantage = -1.0;
  e.rollout = e.logprob;
  for (double& x : e.rollout) x += 0.5;
  const GrpoTokenSums sums = e.run({.kl_coef = 0.1, .off_policy_delta = 0.4});
  CHECK(sums.policy == 0.0);
  CHECK(sums.off_policy == 4.0);
  CHECK(sums.loss == Approx(0.1 * sums.kl));
  CHECK(e.run({.off_policy_delta = 0.6}).off_policy == 0.0);
}

TEST_CASE("grpo loss: an advantage a token takes the place of the sequence's") {
  Example e(6, 3);
  e.advantage = 0.7;
  const Values want = (e.run({}), e.dlogprob);
  e.token_advantages = {0.7, 0.7, 0.7};
  e.advantage = 99.0;
  e.run({});
  for (size_t t = 0; t < 3; ++t) CHECK(e.dlogprob[t] == Approx(want[t]));
  e.token_advantages = {0.0, 0.7, 0.0};
  e.run({});
  CHECK(e.dlogprob[0] == 0.0);
  CHECK(e.dlogprob[1] == Approx(want[1]));
}

TEST_CASE("grpo loss: no split of a batch changes loss or gradient") {
  const std::vector<LossSequence> batch{{0, 3}, {0, 7}, {1, 1}, {1, 12}, {2, 5}, {2, 5}};
  GrpoLossParams params{.kl_coef = 0.1};
  for (const Aggregation kind : {Aggregation::sequence_mean, Aggregation::token_mean,
                                 Aggregation::constant, Aggregation::prompt_mean}) {
    const Values weights = sequence_weights(kind, batch, 12.0);
    double whole = 0.0;
    for (size_t i = 0; i < batch.size(); ++i)
      whole += Example(static_cast<uint32_t>(i), static_cast<size_t>(batch[i].tokens))
                   .run(params, weights[i])
                   .loss;
    for (const size_t cut : {1u, 2u, 4u}) {  // the sums of two ranks, each over its own part
      double first = 0.0, second = 0.0;
      for (size_t i = 0; i < batch.size(); ++i)
        (i < cut ? first : second) +=
            Example(static_cast<uint32_t>(i), static_cast<size_t>(batch[i].tokens))
                .run(params, weights[i])
                .loss;
      CHECK(first + second == Approx(whole).epsilon(1e-13));
    }
  }
}

TEST_CASE("grpo loss: arrays of unlike lengths and missing ones are our bugs") {
  Example e(7, 2);
  e.old.pop_back();
  CHECK_THROWS_AS(e.run({}), ContractError);
  Example no_reference(7, 2);
  no_reference.reference.clear();
  CHECK_THROWS_AS(no_reference.run({.kl_coef = 0.1}), ContractError);
  Example no_rollout(7, 2);
  no_rollout.rollout.clear();
  CHECK_THROWS_AS(no_rollout.run({.off_policy_delta = 0.1}), ContractError);
  Example no_entropy(7, 2);
  no_entropy.entropy.clear();
  CHECK_THROWS_AS(no_entropy.run({.entropy_coef = 0.1}), ContractError);
}
