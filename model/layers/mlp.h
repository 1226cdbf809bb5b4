// The dense feed-forward layer, also used for shared experts.
#pragma once

#include "model/layers/layer_env.h"
#include "model/weights.h"

namespace temper {

struct MlpSaved {
  Tensor x;        // [T, d]  the input
  Tensor gate_up;  // [T, 2I]  backward makes silu(gate) * up again: cheaper than to keep it
};

// stream += down_proj(silu(gate_proj x) * up_proj x), or `apart` becomes that where it is not
// empty. Source: Shazeer 2020.  Shapes: stream, apart, x [T, d].
void mlp_forward(const LayerEnv& env, Tensor stream, MlpSaved* saved, Tensor x, const MlpWeights& w,
                 Tensor apart = {});

// From dy to the gradient of gate_proj x and up_proj x. Adds into: dw.down_proj; dgate_up [T, 2I],
// which may be a slice, is written.
void mlp_hidden_backward(const LayerEnv& env, Tensor dgate_up, const MlpWeights& dw, Tensor dy,
                         const MlpSaved& saved, const MlpWeights& w);

// Adds into: dx [T, d] and the gradients `dw`.
void mlp_backward(const LayerEnv& env, const Grad& dx, const MlpWeights& dw, Tensor dy,
                  const MlpSaved& saved, const MlpWeights& w);

}  // namespace temper
