// Attention of new tokens over a paged cache (generation).
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper {

// Where the rows of a decode batch find their past. Several rows may belong to one sequence
// (prefill): each has its own context length, so row order does not matter.
struct PagedRows {
  Tensor block_table;     // [S, max_blocks] i32: block ids of each sequence, in order
  Tensor row_sequence;    // [N] i32: the sequence of each row
  Tensor context_length;  // [N] i32: how many cached tokens the row sees, itself included
};

// cache[slot_n] = values_n for each row.
// Shapes: cache [blocks, block_size, width], values [N, width], slots [N] i32
// (block * block_size + offset). Types: cache and values alike, of any.
void cache_write(Context& ctx, Tensor cache, Tensor values, Tensor slots);

// Absorbed MLA (multi-query over the latent): with c_u the first R numbers of a cached token and
// r_u the rest, p = softmax_u(scale * (q_latent.c_u + q_rope.r_u)), o_latent = sum_u p_u c_u.
// Source: DeepSeek-V2, section 2.1.3; v3-engine 1.3.
// Shapes: o_latent, q_latent [N, H, R]; q_rope [N, H, Dr]; cache [blocks, block_size, R+Dr].
// Types: f32 or f64; on the GPU f32, bf16 or f16, sums in f32; all alike.
void mla_decode_attention(Context& ctx, Tensor o_latent, Tensor q_latent, Tensor q_rope,
                          Tensor cache, const PagedRows& rows, double scale);

// Grouped-query attention over cached (k, v): o = sum_u softmax_u(scale q.k_u) v_u.
// Shapes: o, q [N, H, D]; cache [blocks, block_size, 2*Hkv*D]: all k heads, then all v heads.
// Types: as above.
void gqa_decode_attention(Context& ctx, Tensor o, Tensor q, Tensor cache, const PagedRows& rows,
                          double scale);

}  // namespace temper
