#include "grpo/policy_term.h"

#include <algorithm>
#include <cmath>

namespace temper {
namespace {

// The pessimistic one of the plain and the clipped term. `slope` is d ratio / d logprob.
PolicyTerm pessimistic(double ratio, double slope, double advantage, const ClipParams& clip) {
  const double bounded = std::clamp(ratio, 1.0 - clip.low, 1.0 + clip.high);
  PolicyTerm term;
  term.loss = -ratio * advantage;
  term.dlogprob = -slope * advantage;
  if (-bounded * advantage > term.loss) {
    term.loss = -bounded * advantage;
    term.dlogprob = 0.0;
    term.clipped_low = ratio < bounded;
    term.clipped_high = ratio > bounded;
  }
  return term;
}

}  // namespace

PolicyTerm clipped_term(double log_ratio, double advantage, const ClipParams& clip) {
  const double bounded = std::clamp(log_ratio, -20.0, 20.0);
  const double ratio = std::exp(bounded);
  PolicyTerm term = pessimistic(ratio, bounded == log_ratio ? ratio : 0.0, advantage, clip);
  if (clip.dual > 0.0 && advantage < 0.0 && term.loss > -clip.dual * advantage) {
    term.loss = -clip.dual * advantage;
    term.dlogprob = 0.0;
    term.dual_clipped = true;
  }
  return term;
}

PolicyTerm gspo_term(double mean_log_ratio, double advantage, const ClipParams& clip) {
  const double bounded = std::min(mean_log_ratio, 10.0);
  const double ratio = std::exp(bounded);
  return pessimistic(ratio, bounded == mean_log_ratio ? ratio : 0.0, advantage, clip);
}

PolicyTerm cispo_term(double logprob, double old, double advantage, const ClipParams& clip) {
  const double ratio = std::exp(std::clamp(logprob - old, -20.0, 20.0));
  const double weight = std::clamp(ratio, 1.0 - clip.low, 1.0 + clip.high);
  PolicyTerm term;
  term.loss = -weight * advantage * logprob;
  term.dlogprob = -weight * advantage;
  term.clipped_low = ratio < weight;
  term.clipped_high = ratio > weight;
  return term;
}

}  // namespace temper
