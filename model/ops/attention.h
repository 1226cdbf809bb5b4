// Causal attention over packed sequences (training and scoring).
#pragma once

#include "core/context.h"
#include "core/sequences.h"
#include "core/tensor.h"
#include "model/ops/grad.h"

namespace temper {

// Row t of sequence s attends to rows cu_seqlens[s] .. t. With `keys` not empty, keys and values
// are of longer sequences whose last rows are those of `sequences`: with p rows more, row t attends
// to keys.cu_seqlens[s] .. keys.cu_seqlens[s] + p + t - cu_seqlens[s]. Forward only.
struct AttentionShape {
  Sequences sequences;
  double scale = 1.0;
  Sequences keys = {};

  const Sequences& of_keys() const { return keys.cu_seqlens.empty() ? sequences : keys; }
};

// o_t = sum_u softmax_u(scale * q_t.k_u) v_u;  lse_t = log sum_u exp(scale * q_t.k_u).
// Shapes: o [T, H, Dv], lse [T, H] or empty, q [T, H, D], k [T, Hkv, D], v [T, Hkv, Dv], with
// `keys` as many rows as those have;
// H a multiple of Hkv: head h reads kv head h / (H/Hkv). All may be column slices.
// Types: f32 or f64; on the GPU f32, bf16 or f16, lse f32.
void attention_forward(Context& ctx, Tensor o, Tensor lse, Tensor q, Tensor k, Tensor v,
                       const AttentionShape& shape);

// P = exp(scale q.k - lse); dv += P^T do; dS = P * (do.v^T - rowsum(do * o)) * scale;
// dq += dS k; dk += dS^T q.  Source: Dao et al. 2022, appendix B.4.
// Adds into: dq [T, H, D], dk [T, Hkv, D], dv [T, Hkv, Dv].
struct AttentionGrads {
  Grad dq, dk, dv;
};
struct AttentionSaved {
  Tensor q, k, v, o, lse;
};
void attention_backward(Context& ctx, const AttentionGrads& grads, Tensor d_o,
                        const AttentionSaved& saved, const AttentionShape& shape);

}  // namespace temper
