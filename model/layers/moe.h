// DeepSeekMoE: routed experts chosen by the gate, plus shared experts that every token meets.
#pragma once

#include "model/layers/layer_env.h"
#include "model/layers/mlp.h"
#include "model/ops/permute.h"
#include "model/ops/router.h"
#include "model/weights.h"

namespace temper {

struct MoeSaved {
  Tensor x;             // [T, d]  the input
  RouterOutputs route;  // experts [T, K] i32, weights [T, K], scores [T, E]
  ExpertPlan plan;      // rows sorted by expert
  Tensor gate_up;       // [T*K, 2I]  of each sorted row
  MlpSaved shared;
};

// stream += sum_k weight_k FFN_{e_k}(x) + FFN_shared(x).  The shared experts are not scaled.
// Source: DeepSeek-V3 eq. 12-16.  Shapes: stream, x [T, d].
void moe_forward(const LayerEnv& env, Tensor stream, MoeSaved* saved, Tensor x,
                 const MoeWeights& w);

// Adds into: dx [T, d] and the gradients `dw`; the balance loss's gradient, times
// `balance_coefficient`, goes into the gate's logits.
void moe_backward(const LayerEnv& env, const Grad& dx, const MoeWeights& dw, Tensor dy,
                  const MoeSaved& saved, const MoeWeights& w, double balance_coefficient);

}  // namespace temper
