// Causal attention of latent attention's heads, whose keys have two parts: one of each head, and
// one that all heads share.
#pragma once

#include "model/ops/attention.h"

namespace temper {

// attention_forward (model/ops/attention.h) with keys k_h = [k_nope_h ; k_rope], which are put
// together only where the device's kernels cannot read them in two parts.
// Source: DeepSeek-V3 eq. 4, 10.
struct MlaAttention {
  Tensor q;       // [T, H*(nope+rope)]  after RoPE; may be a column slice
  Tensor k_nope;  // [Tk, H, nope]
  Tensor k_rope;  // [Tk, rope]          after RoPE
  Tensor v;       // [Tk, H, v]
};
// Shapes: o [T, H, v], lse [T, H] or empty.
// Types: f32 or f64; on the GPU f32, bf16 or f16, lse f32.
void mla_attention_forward(Context& ctx, Tensor o, Tensor lse, const MlaAttention& in,
                           const AttentionShape& shape);

// The way back, through RoPE too: dq and dk_rope are gradients of what is not turned yet.
// Shapes: cos, sin [T, rope/2]; gradients are like what they belong to.
// Adds into: dq, dk_nope, dk_rope, dv.
struct MlaAttentionGrads {
  Grad dq, dk_nope, dk_rope, dv;
};
struct MlaAttentionSaved {
  MlaAttention in;
  Tensor o, lse, cos, sin;
};
void mla_attention_backward(Context& ctx, const MlaAttentionGrads& grads, Tensor d_o,
                            const MlaAttentionSaved& saved, const AttentionShape& shape);

}  // namespace temper
