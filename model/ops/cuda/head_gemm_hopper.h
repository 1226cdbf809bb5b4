// The head's product on Hopper, which keeps no logits in f32.
#pragma once

#include "core/context.h"
#include "model/ops/head.h"

namespace temper::cuda {

// Whether the functions below can run: a card of compute capability 9, bf16 or f16, rows aligned to
// 16 bytes.
bool head_fits_hopper(const Context& ctx, const Tensor& hidden, const Tensor& lm_head);

// head_log_prob_forward without a set to keep; no logits are in memory.
void head_log_prob_forward_hopper(Context& ctx, const LogProbOutputs& out, const Tensor& hidden,
                                  const Tensor& lm_head, const HeadTargets& targets);
template <DType kNarrow>  // where the numbers are of that type
void head_log_prob_forward_hopper_of(Context& ctx, const LogProbOutputs& out, const Tensor& hidden,
                                     const Tensor& lm_head, const HeadTargets& targets);

// dlogits [T, V] in the dtype of hidden: the logits' gradient, rounded once.
void head_log_prob_backward_hopper(Context& ctx, const Tensor& dlogits,
                                   const HeadGradients& gradients, const Tensor& hidden,
                                   const Tensor& lm_head, const HeadTargets& targets);
template <DType kNarrow>  // where the numbers are of that type
void head_log_prob_backward_hopper_of(Context& ctx, const Tensor& dlogits,
                                      const HeadGradients& gradients, const Tensor& hidden,
                                      const Tensor& lm_head, const HeadTargets& targets);

// The softmax's weights before their sum is known, for head_linear.h.
struct HeadWeights {
  Tensor weights;  // [T, V] of hidden's type: exp(z - reference), up to e^most_above; 0: the target
  Tensor reference, top;  // [T] f32  asked for: of each row; given: its largest logit
  Tensor shares;  // [T, tiles, kHeadShare] f32  the largest logit of each kHeadTile, and more
};
constexpr int kHeadShare = 4, kHeadTile = 256;
// In nats. e^8 leaves f16, which ends at 65504 and has 11 bits down to e^-10 alone, room both ways.
constexpr float most_above(DType dtype) {
  return dtype == DType::f16 ? 8.0F : 80.0F;
}

// head_log_prob_forward_hopper which leaves the weights too.
template <DType kNarrow>  // where the numbers are of that type
void head_log_prob_weights_hopper_of(Context& ctx, const LogProbOutputs& out,
                                     const HeadWeights& kept, const Tensor& hidden,
                                     const Tensor& lm_head, const HeadTargets& targets);

}  // namespace temper::cuda
