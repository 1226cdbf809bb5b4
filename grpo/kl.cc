#include "grpo/kl.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace temper {

KlTerm kl_term(KlEstimator estimator, double logprob, double reference) {
  const double gap = reference - logprob;
  switch (estimator) {
    case KlEstimator::k1:
      return {-gap, 1.0};
    case KlEstimator::k2:
      return {0.5 * gap * gap, -gap};
    case KlEstimator::k3: {
      const double held = std::clamp(gap, -20.0, 20.0);
      const double value = std::exp(held) - held - 1.0;
      if (value > 10.0) return {10.0, 0.0};
      return {value, 1.0 - std::exp(held)};
    }
  }
  require(false, "a KL estimator of no known kind");
  return {};
}

KlTerm unbiased_kl_term(KlEstimator estimator, double logprob, double reference, double old) {
  const KlTerm plain = kl_term(estimator, logprob, reference);
  const double log_ratio = logprob - old, held = std::clamp(log_ratio, -20.0, 20.0);
  const double ratio = std::exp(held), slope = held == log_ratio ? ratio : 0.0;
  return {ratio * plain.value, slope * plain.value + ratio * plain.dlogprob};
}

}  // namespace temper
