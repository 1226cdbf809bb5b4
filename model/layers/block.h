// One transformer block: attention and feed-forward, each after its norm and beside its residual.
#pragma once

#include "model/layers/gqa.h"
#include "model/layers/layer_env.h"
#include "model/layers/mla.h"
#include "model/layers/mlp.h"
#include "model/layers/moe.h"
#include "model/weights.h"

namespace temper {

struct BlockSaved {
  Tensor x;       // [T, d]  the input; all there is with recompute
  Tensor x_rstd;  // [T]
  MlaSaved mla;
  GqaSaved gqa;
  Tensor x_mid;       // [T, d]  after attention
  Tensor x_mid_rstd;  // [T]
  MlpSaved mlp;
  MoeSaved moe;  // its route is kept with recompute too: loads are read from it
};

// x_mid = x + attention(norm(x));  y = x_mid + ffn(norm(x_mid)).
// The feed-forward is the MoE if the block's weights have a gate.  Shapes: y, x [T, d].
// Aliasing: y is not x.
void block_forward(const LayerEnv& env, Tensor y, BlockSaved* saved, Tensor x,
                   const BlockWeights& w);

// On entry dx holds dy; on return the gradient of x. Adds into: the gradients `dw`.
void block_backward(const LayerEnv& env, Tensor dx, const BlockWeights& dw, const BlockSaved& saved,
                    const BlockWeights& w, double balance_coefficient);

// The same for new tokens over the cache.  Shapes: y, x [N, d].
void block_decode(const DecodeEnv& env, Tensor y, Tensor x, const BlockWeights& w);

}  // namespace temper
