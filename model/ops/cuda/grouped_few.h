// The experts' forward product for few rows an expert, as generation has them: bound by reading
// the weights, so tiles are narrow and the weights the operand that is streamed.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper::cuda {

// grouped_forward of grouped_gemm.h. Returns false, with nothing done, where it does not pay or
// cannot run: more than 12 rows an expert on average, other numbers than bf16 or f16, or rows that
// are not aligned to 16 bytes. A row's sums do not hang on the rows beside it.
bool grouped_forward_few(Context& ctx, const Tensor& y, const Tensor& x, const Tensor& w,
                         const Tensor& offsets);
template <DType kNarrow>  // where the numbers are of that type
bool grouped_forward_few_of(Context& ctx, const Tensor& y, const Tensor& x, const Tensor& w,
                            const Tensor& offsets);

}  // namespace temper::cuda
