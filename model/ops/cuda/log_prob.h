// Log-probability and entropy on the GPU. Contracts: model/ops/log_prob.h, which has checked the
// arguments.
#pragma once

#include "model/ops/log_prob.h"

namespace temper::cuda {

void log_prob_forward(Context& ctx, const LogProbOutputs& out, Tensor logits, Tensor targets,
                      double temperature);
void log_prob_backward(Context& ctx, Tensor logits, Tensor dlogprob, Tensor dentropy,
                       const LogProbOutputs& saved, Tensor targets, double temperature);

}  // namespace temper::cuda
