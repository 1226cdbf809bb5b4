// Tensor maps: what the copy engine (TMA) of Hopper reads to find boxes of a tensor.
#pragma once

#include <cuda.h>  // types alone; the driver is not linked

#include <cstdint>
#include <initializer_list>

#include "core/tensor.h"

namespace temper::cuda {

// A map of boxes of a tensor of up to five dimensions, the innermost first. What a box holds beyond
// the tensor reads as 0 and is not written.
// Shapes: dims and box have one entry a dimension, strides one fewer (the innermost is dense).
// Types: f32, bf16 or f16. Units: strides in bytes, multiples of 16; data aligned to 16 bytes.
// With `swizzled`, lines of 128 bytes in shared memory are swizzled as wgmma reads them.
// Throws SystemError where the driver has no tensor maps, ContractError if it refuses this one.
CUtensorMap tensor_map(void* data, DType dtype, std::initializer_list<int64_t> dims,
                       std::initializer_list<int64_t> strides, std::initializer_list<int> box,
                       bool swizzled);

struct MapExtent {
  int64_t cols, rows, layers;  // layers 0: a map of two dimensions
};
// The same for rows of `cols` numbers, t.row_stride apart, and boxes of them.
CUtensorMap make_map(const Tensor& t, MapExtent size, int box_cols, int box_rows, bool swizzled);

}  // namespace temper::cuda
