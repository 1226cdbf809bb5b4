// What the options add to the rules' reward before samples are compared.
#pragma once

#include <cstdint>
#include <span>

#include "grpo/kl.h"

namespace temper {

// DAPO's soft overlong punishment, with `limit` the longest completion and `buffer` its last part:
// 0 if tokens <= limit - buffer; -1 if tokens > limit; (limit - buffer - tokens) / buffer between.
// Source: DAPO (arXiv 2503.14476) eq. 13.
double overlong_penalty(int64_t tokens, int64_t limit, int64_t buffer);

// The sum over a completion of the KL estimate between the policy that is improved on and the
// reference: what KL in the reward subtracts, times its coefficient.
// Source: InstructGPT (arXiv 2203.02155) eq. 2, with the estimator of choice.
double sequence_kl(KlEstimator estimator, std::span<const double> old,
                   std::span<const double> reference);

}  // namespace temper
