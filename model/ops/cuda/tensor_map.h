// What the copy engine (TMA) has to know of a tensor.
#pragma once

#include <cuda.h>  // types alone; the driver is not linked

#include "core/tensor.h"

namespace temper::cuda {

struct MapExtent {
  int64_t cols, rows, layers;  // layers 0: a map of two dimensions
};

// A map of rows of `cols` numbers (f32 or bf16), t.row_stride apart, and of boxes of them; with
// `swizzled`, a box's lines of 128 bytes are swizzled in shared memory. Throws SystemError if the
// driver is too old.
CUtensorMap make_map(const Tensor& t, MapExtent size, int box_cols, int box_rows, bool swizzled);

}  // namespace temper::cuda
