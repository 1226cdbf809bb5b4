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
  // [T, d]  the input, rounded to the activations' dtype; with recompute the stream itself, and
  // all there is
  Tensor x;
  Tensor x_rstd;  // [T]
  MlaSaved mla;
  GqaSaved gqa;
  Tensor x_mid;       // [T, d]  after attention, rounded likewise
  Tensor x_mid_rstd;  // [T]
  MlpSaved mlp;
  MoeSaved moe;  // its route is kept with recompute too: loads are read from it
};

// stream += attention(norm(stream));  stream += ffn(norm(stream)).
// The feed-forward is the MoE if the block's weights have a gate.  Shapes: stream [T, d].
// Types: stream is of the wider dtype of the weights (core/device.h: stat_dtype).
void block_forward(const LayerEnv& env, Tensor stream, BlockSaved* saved, const BlockWeights& w);

// The norm in front of a block, which the block before it makes while it has the stream at hand.
struct StreamNorm {
  Tensor normed;   // [T, d]
  Tensor x, rstd;  // [T, d], [T]  kept for backward, else empty
};
struct NextNorm {
  Tensor weight;  // [d]
  StreamNorm to;
};
// Room for one.
StreamNorm make_stream_norm(Arena& arena, bool saving, Tensor stream, DType dtype);
// The same from the norm of the stream on; then the next block's (where next.to is not empty),
// which may lie where `norm` does if nothing is kept.
void block_forward(const LayerEnv& env, Tensor stream, BlockSaved* saved, const BlockWeights& w,
                   const StreamNorm& norm, const NextNorm& next);

// On entry dx holds dy; on return the gradient of x. Adds into: the gradients `dw`.
void block_backward(const LayerEnv& env, Tensor dx, const BlockWeights& dw, const BlockSaved& saved,
                    const BlockWeights& w, const BalanceLoss& balance);

// The same for new tokens over the cache: from `normed`, the norm of the stream, which the next
// block's may replace.  Shapes: stream, normed [N, d].
void block_decode(const DecodeEnv& env, Tensor stream, const BlockWeights& w, Tensor normed,
                  const NextNorm& next);

}  // namespace temper
