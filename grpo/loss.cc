#include "grpo/loss.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace temper {
namespace {

void check_sequence(const GrpoGradient& g, const GrpoSequence& s, const GrpoLossParams& p) {
  const size_t n = s.logprob.size();
  const auto fits = [n](std::span<const double> values, bool needed) {
    return values.size() == n || (!needed && values.empty());
  };
  require(s.old.size() == n && g.dlogprob.size() == n, "log-probabilities of one length");
  require(fits(s.token_advantages, false), "an advantage for each token or for none");
  require(fits(s.reference, p.kl_coef != 0.0), "a KL term needs the reference's log-probabilities");
  require(fits(s.rollout, p.correction.kind != CorrectionKind::none || p.off_policy_delta > 0.0),
          "a correction needs the generator's log-probabilities");
  require(fits(s.entropy, p.entropy_coef != 0.0) && fits(g.dentropy, p.entropy_coef != 0.0),
          "an entropy bonus needs entropies and a place for their gradient");
  require(g.clips.empty() || g.clips.size() == n, "a place for each token's clip or for none");
}

double mean_log_ratio(const GrpoSequence& s) {
  double sum = 0.0;
  for (size_t t = 0; t < s.logprob.size(); ++t) sum += s.logprob[t] - s.old[t];
  return sum / static_cast<double>(s.logprob.size());
}

PolicyTerm policy_term(const GrpoSequence& s, size_t t, double sequence_log_ratio,
                       const GrpoLossParams& p) {
  const double advantage = s.token_advantages.empty() ? s.advantage : s.token_advantages[t];
  switch (p.objective) {
    case PolicyObjective::clipped:
      return clipped_term(s.logprob[t] - s.old[t], advantage, p.clip);
    case PolicyObjective::gspo:
      return gspo_term(sequence_log_ratio, advantage, p.clip);
    case PolicyObjective::cispo:
      return cispo_term(s.logprob[t], s.old[t], advantage, p.clip);
  }
  require(false, "an objective of no known kind");
  return {};
}

void add_policy(double& derivative, GrpoTokenSums& sums, const PolicyTerm& term, double factor,
                double weight) {
  derivative += factor * term.dlogprob;
  sums.policy += factor * term.loss;
  sums.policy_loss += weight * factor * term.loss;
  sums.clipped_low += term.clipped_low;
  sums.clipped_high += term.clipped_high;
  sums.dual_clipped += term.dual_clipped;
}

uint8_t bits_of(const PolicyTerm& term) {
  return (term.clipped_low ? clip_bits::kLow : 0) | (term.clipped_high ? clip_bits::kHigh : 0) |
         (term.dual_clipped ? clip_bits::kDual : 0);
}

void add_kl(double& derivative, GrpoTokenSums& sums, const GrpoSequence& s, size_t t, double weight,
            const GrpoLossParams& p) {
  const KlTerm kl = p.kl_unbiased ? unbiased_kl_term(p.kl, s.logprob[t], s.reference[t], s.old[t])
                                  : kl_term(p.kl, s.logprob[t], s.reference[t]);
  derivative += p.kl_coef * kl.dlogprob;
  sums.kl += kl.value;
  sums.k1 += s.logprob[t] - s.reference[t];
  sums.k3 += kl_term(KlEstimator::k3, s.logprob[t], s.reference[t]).value;
  sums.kl_loss += weight * p.kl_coef * kl.value;
}

}  // namespace

GrpoTokenSums& GrpoTokenSums::operator+=(const GrpoTokenSums& o) {
  loss += o.loss, policy_loss += o.policy_loss, kl_loss += o.kl_loss;
  entropy_bonus += o.entropy_bonus, policy += o.policy, kl += o.kl, k1 += o.k1, k3 += o.k3;
  entropy += o.entropy, clipped_low += o.clipped_low, clipped_high += o.clipped_high;
  dual_clipped += o.dual_clipped, ratio_sum += o.ratio_sum;
  ratio_max = std::max(ratio_max, o.ratio_max);
  old_minus_policy += o.old_minus_policy, off_policy += o.off_policy, tokens += o.tokens;
  return *this;
}

GrpoTokenSums grpo_sequence_loss(const GrpoGradient& gradient, const GrpoSequence& s, double weight,
                                 const GrpoLossParams& p) {
  check_sequence(gradient, s, p);
  GrpoTokenSums sums;
  const size_t n = s.logprob.size();
  if (n == 0) return sums;
  const std::vector<double> correction = rollout_weights(p.correction, s.old, s.rollout);
  const bool masked = p.off_policy_delta > 0.0 &&
                      is_off_policy(s.advantage, s.rollout, s.logprob, p.off_policy_delta);
  const double sequence_log_ratio = mean_log_ratio(s);
  for (size_t t = 0; t < n; ++t) {
    const double log_ratio = s.logprob[t] - s.old[t], ratio = std::exp(log_ratio);
    double derivative = 0.0;
    uint8_t bits = clip_bits::kOffPolicy;
    if (!masked) {
      const PolicyTerm term = policy_term(s, t, sequence_log_ratio, p);
      add_policy(derivative, sums, term, correction.empty() ? 1.0 : correction[t], weight);
      bits = bits_of(term);
    }
    if (!gradient.clips.empty()) gradient.clips[t] |= bits;
    if (p.kl_coef != 0.0) add_kl(derivative, sums, s, t, weight, p);
    if (!s.entropy.empty()) sums.entropy += s.entropy[t];
    if (p.entropy_coef != 0.0) {
      gradient.dentropy[t] = -weight * p.entropy_coef;
      sums.entropy_bonus += weight * p.entropy_coef * s.entropy[t];
    }
    gradient.dlogprob[t] = weight * derivative;
    sums.ratio_sum += ratio;
    sums.ratio_max = std::max(sums.ratio_max, ratio);
    sums.old_minus_policy -= log_ratio;
  }
  sums.off_policy = masked ? static_cast<double>(n) : 0.0;
  sums.tokens = static_cast<double>(n);
  sums.loss = sums.policy_loss + sums.kl_loss - sums.entropy_bonus;
  return sums;
}

}  // namespace temper
