// Tensor: a non-owning view of rows of numbers. Buffers and arenas own the memory.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "core/dtype.h"
#include "core/error.h"

namespace temper {

enum class Device : uint8_t { cpu, cuda };

// A view of up to four dimensions. The last dimension is contiguous; all dimensions before it,
// flattened, are rows spaced `row_stride` elements apart. So a slice of the last dimension is a
// view too, which is what MLA does all the time and what BLAS (`ld`) and Eigen (`OuterStride`)
// take.
struct Tensor {
  void* data = nullptr;
  DType dtype = DType::f32;
  Device device = Device::cpu;
  int rank = 0;
  std::array<int64_t, 4> shape{};  // shape[0 .. rank)
  int64_t row_stride = 0;          // elements from one row of the last dimension to the next

  bool empty() const { return data == nullptr || numel() == 0; }
  int64_t dim(int i) const { return shape[static_cast<size_t>(i < 0 ? rank + i : i)]; }
  int64_t cols() const { return rank == 0 ? 0 : dim(-1); }
  int64_t rows() const {
    int64_t n = rank == 0 ? 0 : 1;
    for (int i = 0; i + 1 < rank; ++i) n *= shape[static_cast<size_t>(i)];
    return n;
  }
  int64_t numel() const { return rows() * cols(); }
  bool contiguous() const { return row_stride == cols() || rows() <= 1; }

  // Typed access; throws ContractError if T is not the dtype or the data is not on the CPU.
  template <class T>
  T* get() const {
    require(dtype == dtype_of<T>(), "tensor read as another dtype");
    require(device == Device::cpu, "device memory read on the host");
    return static_cast<T*>(data);
  }
  template <class T>
  T* row(int64_t i) const {
    return get<T>() + i * row_stride;
  }

  // Rows [begin, begin + count) of the first dimension.
  Tensor slice_rows(int64_t begin, int64_t count) const;
  // Columns [begin, begin + count) of the last dimension; keeps the row stride.
  Tensor slice_cols(int64_t begin, int64_t count) const;
  // The same elements under another shape. A strided view may only split its last dimension's
  // rows (the rows must stay equally spaced); otherwise throws ContractError.
  Tensor reshape(std::initializer_list<int64_t> dims) const;

  std::string shape_text() const;  // "[4, 128]"
};

// A contiguous view over `data`.
Tensor make_tensor(void* data, DType dtype, std::initializer_list<int64_t> dims,
                   Device device = Device::cpu);

// The same rank and dimensions; strides and dtypes may differ.
bool same_shape(const Tensor& a, const Tensor& b);

}  // namespace temper
