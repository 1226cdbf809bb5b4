// Between the projections of latent attention and its heads: RoPE, and keys of two parts.
#pragma once

#include "core/context.h"
#include "core/tensor.h"
#include "model/ops/grad.h"

namespace temper {

// q = [q_nope ; RoPE(q_rope)] of every head, in place;  turned = RoPE(k_rope). Rotations are of
// neighbouring pairs (RopeStyle::interleaved).
// Source: DeepSeek-V3 eq. 3, 8-9.
// Shapes: q [T, H*(nope+rope)]; turned and k_rope, a slice of kv_a_proj's result, [T, rope]; cos,
// sin [T, rope/2].  Types: f32 or f64; on the GPU f32, bf16 or f16; all alike.
// Aliasing: turned may be k_rope.
struct MlaRope {
  Tensor q, turned, k_rope, cos, sin;
  int64_t heads;
};
void mla_rope_forward(Context& ctx, const MlaRope& rope);

// k_h = [k_nope_h ; k_rope], the same k_rope for all heads.
// Source: DeepSeek-V3 eq. 4.  Shapes: k [T, H, nope+rope]; k_nope [T, H, nope]; k_rope [T, rope].
void mla_keys_forward(Context& ctx, Tensor k, Tensor k_nope, Tensor k_rope);

// The way back through both, from the gradients of the turned queries and of the whole keys.
// Adds into: dq [T, H*(nope+rope)], dk_nope [T, H, nope], dk_rope [T, rope].
struct MlaHeadsGrads {
  Tensor dturned, dk;  // [T, H, nope+rope]
  Grad dq, dk_nope, dk_rope;
  Tensor cos, sin;
};
void mla_heads_backward(Context& ctx, const MlaHeadsGrads& grads);

}  // namespace temper
