#include "grpo/loss.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace temper {
namespace {

// The policy term of one token and its derivative by the log-probability.
struct PolicyTerm {
  double loss = 0.0, dlogprob = 0.0;
  bool clipped_low = false, clipped_high = false;
};

PolicyTerm policy_term(double log_ratio, double advantage, const GrpoLossParams& p) {
  const double bounded = std::clamp(log_ratio, -20.0, 20.0);
  const double ratio = std::exp(bounded);
  const double clipped = std::clamp(ratio, 1.0 - p.clip_low, 1.0 + p.clip_high);
  PolicyTerm out;
  out.loss = -ratio * advantage;
  out.dlogprob = bounded == log_ratio ? -ratio * advantage : 0.0;
  if (-clipped * advantage > out.loss) {  // the pessimistic one of the two counts
    out.loss = -clipped * advantage;
    out.dlogprob = 0.0;
    out.clipped_low = ratio < 1.0 - p.clip_low;
    out.clipped_high = ratio > 1.0 + p.clip_high;
  }
  if (p.dual_clip > 0.0 && advantage < 0.0 && out.loss > -p.dual_clip * advantage) {
    out.loss = -p.dual_clip * advantage;
    out.dlogprob = 0.0;
  }
  return out;
}

}  // namespace

GrpoTokenSums grpo_sequence_loss(std::span<double> dlogprob, const GrpoSequence& s, double weight,
                                 const GrpoLossParams& params) {
  require(s.old.size() == s.logprob.size() && dlogprob.size() == s.logprob.size(),
          "log-probabilities of one length");
  require(params.kl_coef == 0.0 || s.reference.size() == s.logprob.size(),
          "a KL term needs the reference's log-probabilities");
  GrpoTokenSums sums;
  for (size_t t = 0; t < s.logprob.size(); ++t) {
    const double log_ratio = s.logprob[t] - s.old[t];
    const PolicyTerm term = policy_term(log_ratio, s.advantage, params);
    double loss = term.loss, derivative = term.dlogprob;
    if (params.kl_coef != 0.0) {
      const double gap = s.reference[t] - s.logprob[t];
      const double k3 = std::exp(gap) - gap - 1.0;
      loss += params.kl_coef * k3;
      derivative += params.kl_coef * (1.0 - std::exp(gap));
      sums.kl += k3;
    }
    dlogprob[t] = weight * derivative;
    sums.loss += weight * loss;
    sums.policy += term.loss;
    sums.clipped_low += term.clipped_low;
    sums.clipped_high += term.clipped_high;
    sums.ratio_sum += std::exp(log_ratio);
    sums.ratio_max = std::max(sums.ratio_max, std::exp(log_ratio));
    sums.old_minus_policy -= log_ratio;
  }
  return sums;
}

}  // namespace temper
