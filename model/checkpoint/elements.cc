#include "model/checkpoint/elements.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/narrow_float.h"

namespace temper {
namespace {

template <class Stored>
Stored load(const void* source, int64_t i) {
  Stored value;
  std::memcpy(&value, static_cast<const char*>(source) + i * static_cast<int64_t>(sizeof(Stored)),
              sizeof(Stored));
  return value;
}

// Calls body(read), where read(source, i) gives element i as float or double.
template <class Body>
void with_reader(DType from, Body&& body) {
  switch (from) {
    case DType::f64:
      return body([](const void* s, int64_t i) { return load<double>(s, i); });
    case DType::f32:
      return body([](const void* s, int64_t i) { return load<float>(s, i); });
    case DType::bf16:
      return body([](const void* s, int64_t i) { return from_bf16(load<uint16_t>(s, i)); });
    case DType::f16:
      return body([](const void* s, int64_t i) { return from_f16(load<uint16_t>(s, i)); });
    case DType::f8_e4m3:
      return body([](const void* s, int64_t i) { return from_f8_e4m3(load<uint8_t>(s, i)); });
    default:
      require(false, "not a floating-point type");
  }
}

// Calls body(write), where write(i, value) stores element i of the target.
template <class Body>
void with_writer(void* target, DType to, Body&& body) {
  switch (to) {
    case DType::f64:
      return body([p = static_cast<double*>(target)](int64_t i, auto value) { p[i] = value; });
    case DType::f32:
      return body([p = static_cast<float*>(target)](int64_t i, auto value) {
        p[i] = static_cast<float>(value);
      });
    case DType::bf16:
      return body([p = static_cast<uint16_t*>(target)](int64_t i, auto value) {
        p[i] = to_bf16(static_cast<float>(value));
      });
    default:
      require(false, "weights are kept as f64, f32 or bf16");
  }
}

}  // namespace

bool is_float(DType dtype) {
  return dtype == DType::f64 || dtype == DType::f32 || dtype == DType::f16 ||
         dtype == DType::bf16 || dtype == DType::f8_e4m3;
}

void convert_elements(const void* source, DType from, void* target, DType to, int64_t n) {
  if (from == to) {
    std::memcpy(target, source, static_cast<size_t>(n) * size_of(from));
    return;
  }
  with_reader(from, [&](auto read) {
    with_writer(target, to, [&](auto write) {
      for (int64_t i = 0; i < n; ++i) write(i, read(source, i));
    });
  });
}

void dequantize_fp8(const Fp8Blocks& shape, RowRange range, const uint8_t* q,
                    const float* scale_inv, void* target, DType to) {
  with_writer(target, to, [&](auto write) {
    for (int64_t i = range.begin; i < range.begin + range.count; ++i) {
      const float* scales = scale_inv + i / shape.block_rows * shape.scale_cols();
      const uint8_t* row = q + i * shape.cols;
      for (int64_t j = 0; j < shape.cols; ++j)
        write((i - range.begin) * shape.cols + j,
              from_f8_e4m3(row[j]) * scales[j / shape.block_cols]);
    }
  });
}

void quantize_fp8(const Fp8Blocks& shape, const float* w, uint8_t* q, float* scale_inv) {
  for (int64_t block_i = 0; block_i < shape.scale_rows(); ++block_i) {
    for (int64_t block_j = 0; block_j < shape.scale_cols(); ++block_j) {
      const int64_t i0 = block_i * shape.block_rows, j0 = block_j * shape.block_cols;
      const int64_t i1 = std::min(i0 + shape.block_rows, shape.rows);
      const int64_t j1 = std::min(j0 + shape.block_cols, shape.cols);
      float amax = 0;
      for (int64_t i = i0; i < i1; ++i)
        for (int64_t j = j0; j < j1; ++j) amax = std::max(amax, std::fabs(w[i * shape.cols + j]));
      const float scale = amax > 0 ? amax / 448.0f : 1.0f;
      scale_inv[block_i * shape.scale_cols() + block_j] = scale;
      for (int64_t i = i0; i < i1; ++i)
        for (int64_t j = j0; j < j1; ++j)
          q[i * shape.cols + j] = to_f8_e4m3(w[i * shape.cols + j] / scale);
    }
  }
}

}  // namespace temper
