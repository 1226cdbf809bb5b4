// Grouped-query attention over the paged cache on tensor cores: 16-bit floats, sm_80 and later.
#pragma once

#include "model/ops/decode_attention.h"

namespace temper::cuda {

// gqa_decode_attention of model/ops/decode_attention.h. Returns false, with nothing done, where it
// cannot run: other numbers than bf16 or f16, heads that are not 64 or 128 wide, blocks that are
// not multiples of 16 tokens, or rows that are not aligned to 16 bytes.
bool gqa_decode_mma(Context& ctx, const Tensor& o, const Tensor& q, const Tensor& cache,
                    const PagedRows& rows, double scale);
template <DType kNarrow>  // where the numbers are of that type
bool gqa_decode_mma_of(Context& ctx, const Tensor& o, const Tensor& q, const Tensor& cache,
                       const PagedRows& rows, double scale);

}  // namespace temper::cuda
