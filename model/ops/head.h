// The product of the output head together with the log-probabilities of its logits.
#pragma once

#include "core/context.h"
#include "core/tensor.h"
#include "model/ops/linear.h"
#include "model/ops/log_prob.h"

namespace temper {

// What is asked of the logits of each row.
struct HeadTargets {
  Tensor targets;                         // [T] i32, -1: none
  Tensor kept_begin = {}, kept_ids = {};  // which logits count (model/ops/keep_logits.h)
  double temperature = 1.0;
};

// out as log_prob_forward makes it of the logits hidden lm_head^T, after keep_logits where there is
// something to keep. Logits are in the statistics' dtype of hidden (core/device.h) and are never
// rounded to a narrower one.
// All T V logits may be in scratch memory.
// Shapes: hidden [T, d], lm_head [V, d]; out.* [T].
// Types: f32 or f64; on the GPU f32, bf16 or f16; out in the statistics' dtype of hidden.
void head_log_prob_forward(Context& ctx, const LogProbOutputs& out, Tensor hidden, Tensor lm_head,
                           const HeadTargets& targets);

// Whether the GPU does without the f32 logits, so that many more rows are cheap at once.
bool head_without_logits(const Context& ctx, const Tensor& hidden, const Tensor& lm_head,
                         const HeadTargets& targets);

// The way back; the logits are made again, their gradient is of hidden's dtype.
// Shapes: dlogprob [T]; dentropy [T] or empty; saved as forward made it.
// Adds into: grads.dx [T, d] (of hidden), grads.dw [V, d] (of lm_head).
struct HeadGradients {
  Tensor dlogprob, dentropy;
  LogProbOutputs saved;
};
void head_log_prob_backward(Context& ctx, const LinearGrads& grads, const HeadGradients& gradients,
                            Tensor hidden, Tensor lm_head, const HeadTargets& targets);

// Forward and back in one where the derivative by the log-probabilities is known beforehand, so
// that the logits are made once. Shapes: out, dlogprob [T]. Adds into: grads.dx [T, d] (of hidden),
// grads.dw [V, d] (of lm_head).
void head_log_prob_linear(Context& ctx, const LogProbOutputs& out, const LinearGrads& grads,
                          Tensor dlogprob, Tensor hidden, Tensor lm_head,
                          const HeadTargets& targets);

}  // namespace temper
