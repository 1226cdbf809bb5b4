// What every op checks before it computes: shapes, types, devices.
#pragma once

#include <initializer_list>
#include <source_location>
#include <string>
#include <string_view>

#include "core/device.h"
#include "core/tensor.h"

namespace temper {

// Throws ContractError naming the tensor and both shapes if `t` is not [rows.., cols] of the given
// total rows and columns (how the rows split into leading dimensions is the caller's business).
inline void check_rows_cols(const Tensor& t, int64_t rows, int64_t cols, std::string_view name,
                            std::source_location where = std::source_location::current()) {
  if (t.rows() == rows && t.cols() == cols) return;
  require(false,
          std::string(name) + " is " + t.shape_text() + ", not " + std::to_string(rows) +
              " rows of " + std::to_string(cols),
          where);
}

// Throws ContractError if `t` has not exactly these dimensions.
inline void check_shape(const Tensor& t, std::initializer_list<int64_t> dims, std::string_view name,
                        std::source_location where = std::source_location::current()) {
  bool same = t.rank == static_cast<int>(dims.size());
  std::string expected;
  int i = 0;
  for (int64_t d : dims) {
    same = same && t.dim(i) == d;
    ++i;
  }
  if (same) return;
  for (int64_t d : dims) expected += (expected.empty() ? "" : ", ") + std::to_string(d);
  require(false, std::string(name) + " is " + t.shape_text() + ", not [" + expected + "]", where);
}

// Throws ContractError unless all tensors that are not empty share one device and one dtype, or the
// wider one that statistics have beside it (bf16 and f32).
inline void check_alike(std::initializer_list<Tensor> tensors,
                        std::source_location where = std::source_location::current()) {
  const Tensor& first = *tensors.begin();
  for (const Tensor& t : tensors) {
    const bool alike = stat_dtype(t.dtype) == stat_dtype(first.dtype) && t.device == first.device;
    if (t.data == nullptr || alike) continue;
    require(false, "an op got tensors of different dtypes or devices", where);
  }
}

// Throws ContractError unless `t` holds i32.
inline void check_i32(const Tensor& t, std::string_view name,
                      std::source_location where = std::source_location::current()) {
  if (t.dtype != DType::i32) require(false, std::string(name) + " is not i32", where);
}

// Where an op's switch ends up for a device that this build has no code for.
[[noreturn]] inline void no_backend() {
  throw ContractError("this build has no CUDA: an op got a tensor of the GPU");
}

}  // namespace temper
