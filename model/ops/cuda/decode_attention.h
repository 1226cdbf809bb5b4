// Attention over the paged cache on the GPU. Contracts: model/ops/decode_attention.h, which has
// checked the arguments.
//
// A row's bits follow from its own past alone, whatever the other rows hold, for the same numbers
// of rows and heads and width of the block table: by these a launch cuts long pasts
// (decode_split.h) and sizes its blocks. The plain kernels' bits depend on nothing but the past.
#pragma once

#include "model/ops/decode_attention.h"

namespace temper::cuda {

void cache_write(Context& ctx, Tensor cache, Tensor values, Tensor slots);
void mla_decode_attention(Context& ctx, Tensor o_latent, Tensor q_latent, Tensor q_rope,
                          Tensor cache, const PagedRows& rows, double scale);
void gqa_decode_attention(Context& ctx, Tensor o, Tensor q, Tensor cache, const PagedRows& rows,
                          double scale);

}  // namespace temper::cuda
