// Grouped-query attention over the paged cache on tensor cores: bf16, sm_80 and later.
#pragma once

#include "model/ops/decode_attention.h"

namespace temper::cuda {

// gqa_decode_attention of model/ops/decode_attention.h. Returns false, with nothing done, where it
// cannot run: numbers that are not bf16, heads that are not 64 or 128 wide, blocks that are not
// multiples of 16 tokens, or rows that are not aligned to 16 bytes.
bool gqa_decode_bf16(Context& ctx, const Tensor& o, const Tensor& q, const Tensor& cache,
                     const PagedRows& rows, double scale);

}  // namespace temper::cuda
