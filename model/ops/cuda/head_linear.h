// The head forward and back in one on Hopper, for dlogprob that is known beforehand.
#pragma once

#include "core/context.h"
#include "model/ops/head.h"

namespace temper::cuda {

// head_log_prob_linear where head_fits_hopper. In f16 dlogprob times hidden is infinite where it is
// beyond 65504, as any gradient is.
void head_log_prob_linear_hopper(Context& ctx, const LogProbOutputs& out, const LinearGrads& grads,
                                 const Tensor& dlogprob, const Tensor& hidden,
                                 const Tensor& lm_head, const HeadTargets& targets);
template <DType kNarrow>  // where the numbers are of that type
void head_log_prob_linear_hopper_of(Context& ctx, const LogProbOutputs& out,
                                    const LinearGrads& grads, const Tensor& dlogprob,
                                    const Tensor& hidden, const Tensor& lm_head,
                                    const HeadTargets& targets);

}  // namespace temper::cuda
