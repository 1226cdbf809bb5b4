// Between the projections of latent attention and its heads: RoPE, and keys of two parts.
#pragma once

#include "core/context.h"
#include "core/tensor.h"
#include "model/ops/grad.h"

namespace temper {

// q = [q_nope ; RoPE(q_rope)] in place;  k_h = [k_nope_h ; RoPE(k_rope)], the same k_rope for all
// heads. Rotations are of neighbouring pairs (RopeStyle::interleaved).
// Source: DeepSeek-V3 eq. 2-4, 8-9.
// Shapes: q, k [T, H, nope+rope]; k_nope [T, H, nope], a slice of kv_b_proj's result; k_rope
// [T, rope], a slice of kv_a_proj's; cos, sin [T, rope/2].
// Types: f32 or f64; on the GPU f32 or bf16; all alike.
struct MlaHeads {
  Tensor q, k, k_nope, k_rope, cos, sin;
};
void mla_heads_forward(Context& ctx, const MlaHeads& heads);
// k_h = [k_nope_h ; k_rope] of earlier tokens, whose k_rope is rotated already; the other tensors
// are not looked at.
void mla_keys_forward(Context& ctx, const MlaHeads& heads);

// The way back. dq is turned from the gradient after RoPE into that before it, in place.
// Adds into: dk_nope [T, H, nope], dk_rope [T, rope].
struct MlaHeadsGrads {
  Tensor dq, dk;  // [T, H, nope+rope]
  Grad dk_nope, dk_rope;
  Tensor cos, sin;
};
void mla_heads_backward(Context& ctx, const MlaHeadsGrads& grads);

}  // namespace temper
