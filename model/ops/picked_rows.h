// Rows of a factor that a product brings together itself.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper {

// The rows of `from` as they lie or, with an index, row index[r] of it in the place of row r.
// Shapes: from [T, d], index [R] i32 of rows of it, or empty. Types: from of any.
struct PickedRows {
  Tensor from, index = {};

  PickedRows(const Tensor& rows, const Tensor& order = {}) : from(rows), index(order) {}
  bool picked() const { return index.data != nullptr; }
  int64_t rows() const { return picked() ? index.numel() : from.rows(); }
  int64_t cols() const { return from.cols(); }
};

// The rows one after another: the tensor itself, or a copy in the scratch memory of the caller's
// scope.
Tensor laid_out(Context& ctx, const PickedRows& rows);

}  // namespace temper
