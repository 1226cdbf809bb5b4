// Log-probability and entropy of rows of logits.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper {

// With z = logits / temperature and lse = log sum exp z:
// logprob = z[target] - lse;  entropy = lse - sum_v p_v z_v.
// Shapes: logits [T, V]; targets [T] i32, -1: no target (logprob 0); logprob, entropy, lse [T];
// an empty entropy is not computed. Types: f32 or f64, sums in f64; on the GPU all f32.
// Units: nats.
struct LogProbOutputs {
  Tensor logprob, entropy, lse;
};
void log_prob_forward(Context& ctx, const LogProbOutputs& out, Tensor logits, Tensor targets,
                      double temperature);

// Turns `logits` into the gradient of them, in place:
// dlogits_v = (dlogprob * ([v == target] - p_v) - dentropy * p_v * (log p_v + entropy)) /
// temperature. Shapes: dlogprob [T]; dentropy [T] or empty; saved as log_prob_forward gave it. A
// row without a target takes no dlogprob. Adds into: nothing; logits is overwritten.
void log_prob_backward(Context& ctx, Tensor logits, Tensor dlogprob, Tensor dentropy,
                       const LogProbOutputs& saved, Tensor targets, double temperature);

}  // namespace temper
