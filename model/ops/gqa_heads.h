// Between the one projection of grouped-query attention and its heads: biases and RoPE.
#pragma once

#include "core/context.h"
#include "core/tensor.h"
#include "model/ops/grad.h"

namespace temper {

// [q ; k ; v] = qkv + bias, q and k rotated (RopeStyle::halves) where cos is not empty.
// Shapes: qkv [T, (H + 2 Hkv) D]; bias [(H + 2 Hkv) D] or empty; q [T, H, D]; k, v [T, Hkv, D];
// cos, sin [T, D/2] or empty. Types: f32 or f64; on the GPU f32, bf16 or f16; all alike.
struct GqaHeads {
  Tensor q, k, v;  // written
  Tensor qkv, bias, cos, sin;
};
void gqa_heads_forward(Context& ctx, const GqaHeads& heads);

// The way back: dqkv from the gradients after RoPE; the bias's is the sum over its rows.
// Shapes: as above. Adds into: dbias (empty: skipped); dqkv is written.
struct GqaHeadsGrads {
  Tensor dqkv;  // written
  Grad dbias;
  Tensor dq, dk, dv, cos, sin;
};
void gqa_heads_backward(Context& ctx, const GqaHeadsGrads& grads);

}  // namespace temper
