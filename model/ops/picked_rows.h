// Rows of a factor that a product brings together itself.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper {

// The rows of `from` as they lie or, with an index, row index[r] of it in the place of row r. Where
// each row of `from` goes to k places, those may be given too: index[places[t, i]] = t.
// Shapes: from [T, d], index [R] i32 of rows of it, or empty; places [T, k] i32, T k = R, or empty.
// Types: from of any.
struct PickedRows {
  Tensor from, index = {}, places = {};

  PickedRows(const Tensor& rows, const Tensor& order = {}, const Tensor& where = {})
      : from(rows), index(order), places(where) {}
  bool picked() const { return index.data != nullptr; }
  int64_t rows() const { return picked() ? index.numel() : from.rows(); }
  int64_t cols() const { return from.cols(); }
};

// The rows one after another: the tensor itself, or a copy in the scratch memory of the caller's
// scope.
Tensor laid_out(Context& ctx, const PickedRows& rows);
// Whether that is quicker before grouped products than to pick them in each: each 256 columns that
// a result has beside them bring the rows again. On an H100 1,024 columns gained, 1,408 lost.
constexpr int64_t kMostPickedCols = 1280;
inline bool better_laid_out(const PickedRows& rows, int64_t cols) {
  return rows.picked() && cols > kMostPickedCols;
}

}  // namespace temper
