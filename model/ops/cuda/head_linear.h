// The head forward and back in one on Hopper, for dlogprob that is known beforehand.
#pragma once

#include "core/context.h"
#include "model/ops/head.h"

namespace temper::cuda {

// head_log_prob_linear in bf16, where head_fits_hopper.
void head_log_prob_linear_hopper(Context& ctx, const LogProbOutputs& out, const LinearGrads& grads,
                                 const Tensor& dlogprob, const Tensor& hidden,
                                 const Tensor& lm_head, const HeadTargets& targets);

}  // namespace temper::cuda
