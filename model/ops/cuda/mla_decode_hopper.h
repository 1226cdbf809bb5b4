// Absorbed MLA over the paged cache for Hopper: 16-bit floats, through the copy engine and wgmma.
#pragma once

#include "model/ops/decode_attention.h"

namespace temper::cuda {

// mla_decode_attention of model/ops/decode_attention.h. Returns false, with nothing done, where it
// cannot run: a card that is not of compute capability 9, other numbers than bf16 or f16, a latent
// that is not 512 + 64 wide, blocks that are not multiples of 16 tokens, or rows that are not
// aligned to 16 bytes.
bool mla_decode_hopper(Context& ctx, const Tensor& o_latent, const Tensor& q_latent,
                       const Tensor& q_rope, const Tensor& cache, const PagedRows& rows,
                       double scale);
template <DType kNarrow>  // where the numbers are of that type
bool mla_decode_hopper_of(Context& ctx, const Tensor& o_latent, const Tensor& q_latent,
                          const Tensor& q_rope, const Tensor& cache, const PagedRows& rows,
                          double scale);

}  // namespace temper::cuda
