#include "grpo/shaping.h"

#include "core/error.h"

namespace temper {

double overlong_penalty(int64_t tokens, int64_t limit, int64_t buffer) {
  if (tokens > limit) return -1.0;
  if (tokens <= limit - buffer) return 0.0;
  return static_cast<double>(limit - buffer - tokens) / static_cast<double>(buffer);
}

double sequence_kl(KlEstimator estimator, std::span<const double> old,
                   std::span<const double> reference) {
  require(old.size() == reference.size(), "log-probabilities of one length");
  double sum = 0.0;
  for (size_t t = 0; t < old.size(); ++t) sum += kl_term(estimator, old[t], reference[t]).value;
  return sum;
}

}  // namespace temper
