// Products of few rows on Hopper, as a decode step of a small model has them: each takes as long as
// its start and one way through memory, so all that does not hang on the kernel before is done
// before that has ended.
#pragma once

#include "model/ops/cuda/gemm.h"

namespace temper::cuda {

// c = a b, or c += a b, of gemm.h, for a batch of `batch`. Returns false, with nothing done, where
// it does not pay or cannot run: more than 64 rows, more than fits shared memory or than a block a
// multiprocessor, factors that are not 16-bit floats, or rows that are not aligned to 16 bytes. In
// a recording b is older than the recording. A row's sums do not hang on the rows beside it.
bool thin_linear_hopper(Context& ctx, const Operand& c, const Operand& a, const Operand& b,
                        bool add, int64_t batch);
template <DType kNarrow>  // where the factors are of that type
bool thin_linear_hopper_of(Context& ctx, const Operand& c, const Operand& a, const Operand& b,
                           bool add, int64_t batch);

}  // namespace temper::cuda
