// The gate of DeepSeekMoE: scores, group-limited top-k, weights, and the sequence balance loss.
#pragma once

#include <span>

#include "core/context.h"
#include "core/sequences.h"
#include "core/tensor.h"
#include "model/config.h"
#include "model/ops/grad.h"

namespace temper {

struct RouterParams {
  int64_t top_k = 1;
  int64_t n_group = 1, topk_group = 1;
  bool norm_topk_prob = true;
  double routed_scaling_factor = 1.0;
  ScoringFunc scoring_func = ScoringFunc::sigmoid;
  bool group_limited = true;
  bool has_correction_bias = true;  // groups by the sum of their top two (V3), else by max (V2)
};
// The gate of a config.json.
RouterParams router_params(const ModelConfig& config);

// scores = sigmoid(logits) or softmax(logits); experts = top-k of (scores + bias) within the best
// groups (closed groups are -inf; ties go to the lower index); weights = scores of the chosen,
// normalised by their sum if norm_topk_prob, times routed_scaling_factor.
// Source: DeepSeek-V3 eq. 12-16; v3-engine 1.4. The bias selects and never weighs.
// Shapes: experts [T, K] i32, weights [T, K], scores [T, E], logits [T, E], bias [E] f32 or empty.
// Types: f32 or f64; on the GPU f32.
// Experts of a token are in ascending order of expert index.
struct RouterOutputs {
  Tensor experts, weights, scores;
};
void router_forward(Context& ctx, const RouterOutputs& out, Tensor logits, Tensor bias,
                    const RouterParams& params);

// The sequence balance loss: the sum over sequences of sum_i f_i P_i, with f_i = E/(K T_s) * #{t: i
// in the top-K of the unbiased scores} and P_i = 1/T_s sum_t s_it / sum_j s_jt.
// Source: DeepSeek-V3 eq. 17-20 (the caller multiplies by alpha / number of sequences).
struct BalanceLoss {
  double coefficient = 0.0;  // of its gradient; counts f carry none
  Tensor sum = {};           // [1] f64  the loss is added to it; empty: not wanted
  Sequences sequences = {};

  bool wanted() const { return coefficient != 0.0 || !sum.empty(); }
};

// dlogits += the gradient of the weights by the logits, times dweights, and of the balance loss
// times its coefficient. Selection and bias get none.
// Shapes: dlogits [T, E]; dweights [T, K], which is read alone; an empty one counts as zeros.
// Types: dlogits may be narrower than the scores. Adds into: dlogits (empty: skipped), balance.sum.
void router_backward(Context& ctx, const Grad& dlogits, Tensor dweights, const RouterOutputs& saved,
                     const RouterParams& params, const BalanceLoss& balance = {});

// bias_i += speed * sign(mean(counts) - counts_i) in each layer.  Source: DeepSeek-V3
// section 2.1.2. Shapes: biases L times [E] f32, or empty for a layer without; counts [L, E] i32.
void router_bias_step(Context& ctx, std::span<const Tensor> biases, Tensor counts, double speed);

}  // namespace temper
