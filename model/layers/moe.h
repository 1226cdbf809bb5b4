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
// Where norm.normed is not empty, the norm of the stream follows (model/ops/permute.h).
// Source: DeepSeek-V3 eq. 12-16.  Shapes: stream, x [T, d].
void moe_forward(const LayerEnv& env, Tensor stream, MoeSaved* saved, Tensor x, const MoeWeights& w,
                 const NormAfter& norm = {});

// Adds into: dx [T, d], the gradients `dw` and balance.sum; the balance loss's gradient goes into
// the gate's logits. The sequences are the environment's.
struct MoeInputGrads {
  Grad dx;
  // [T*K, d]  written: the routed experts' share, by the plan's rows, which is still to be added to
  // dx (gather_rows_backward, or the norm before: model/ops/rms_norm.h)
  Tensor rows;
};
void moe_backward(const LayerEnv& env, const MoeInputGrads& dx, const MoeWeights& dw, Tensor dy,
                  const MoeSaved& saved, const MoeWeights& w, const BalanceLoss& balance);

}  // namespace temper
