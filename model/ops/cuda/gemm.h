// Matrix products by cuBLASLt, planned once for each shape and dtype.
#pragma once

#include <optional>

#include "core/context.h"
#include "core/tensor.h"

namespace temper::cuda {

// One operand: `rows` x `cols` numbers, row-major with `stride` elements from row to row, taken as
// it lies or transposed. With a batch, the next matrix is `batch_stride` elements on.
struct Operand {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0, cols = 0, stride = 0, batch_stride = 0;
  bool transposed = false;
};
// All of a tensor as a matrix of rows() x cols().
Operand operand(const Tensor& t, bool transposed = false);

// C = A B + `from` for each of `batch` matrices; A and B are f32, bf16 or f16 alike, C that or f32;
// `from` is of C's shape and dtype, C itself perhaps, or nothing. f32 products are full f32 (no
// TF32). Sums are f32. Deterministic: one algorithm a shape.
void gemm(Context& ctx, const Operand& c, const Operand& a, const Operand& b,
          const std::optional<Operand>& from, int64_t batch = 1);

}  // namespace temper::cuda
