// The experts' forward product on Hopper for few rows an expert, as generation has them. Reading
// the weights is all that costs, so they are the operand that is streamed.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper::cuda {

// grouped_forward of grouped_gemm.h. Returns false, with nothing done, where it does not pay (more
// than 48 rows an expert on average) or cannot run (another card, other numbers than bf16 or f16,
// rows that are not aligned to 16 bytes). A row's sums do not hang on the rows beside it.
bool grouped_few_hopper(Context& ctx, const Tensor& y, const Tensor& x, const Tensor& w,
                        const Tensor& offsets);
template <DType kNarrow>  // where the numbers are of that type
bool grouped_few_hopper_of(Context& ctx, const Tensor& y, const Tensor& x, const Tensor& w,
                           const Tensor& offsets);

// The same for experts whose weights are a gate above as many rows "up": y = silu(gate) * up, with
// gate and up rounded as if they were stored.
// Shapes: y [R, N], x [R, K], w [E, 2N, K], offsets [E+1].
bool gated_few_hopper(Context& ctx, const Tensor& y, const Tensor& x, const Tensor& w,
                      const Tensor& offsets);
template <DType kNarrow>  // where the numbers are of that type
bool gated_few_hopper_of(Context& ctx, const Tensor& y, const Tensor& x, const Tensor& w,
                         const Tensor& offsets);

}  // namespace temper::cuda
