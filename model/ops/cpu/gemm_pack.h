// Packing columns of a matrix for the register tile.
#pragma once

#include <algorithm>
#include <cstdint>

#include "model/ops/cpu/gemm.h"
#include "model/ops/cpu/simd.h"

namespace temper::cpu {

// out[p * width + j] = from[j * stride + p] for a square of one vector by one vector.
inline void transpose_square(const float* from, int64_t stride, float* out, int64_t width) {
#if defined(__AVX__) && defined(__FMA__)
  __m256 pair[8], quad[8];
  for (int j = 0; j < 8; j += 2) {
    const __m256 a = _mm256_loadu_ps(from + j * stride),
                 b = _mm256_loadu_ps(from + (j + 1) * stride);
    pair[j] = _mm256_unpacklo_ps(a, b);
    pair[j + 1] = _mm256_unpackhi_ps(a, b);
  }
  for (int j = 0; j < 8; j += 4) {
    quad[j] = _mm256_shuffle_ps(pair[j], pair[j + 2], 0x44);
    quad[j + 1] = _mm256_shuffle_ps(pair[j], pair[j + 2], 0xEE);
    quad[j + 2] = _mm256_shuffle_ps(pair[j + 1], pair[j + 3], 0x44);
    quad[j + 3] = _mm256_shuffle_ps(pair[j + 1], pair[j + 3], 0xEE);
  }
  for (int p = 0; p < 4; ++p) {
    _mm256_storeu_ps(out + p * width, _mm256_permute2f128_ps(quad[p], quad[p + 4], 0x20));
    _mm256_storeu_ps(out + (p + 4) * width, _mm256_permute2f128_ps(quad[p], quad[p + 4], 0x31));
  }
#else
  for (int p = 0; p < 8; ++p)
    for (int j = 0; j < 8; ++j) out[p * width + j] = from[j * stride + p];
#endif
}
inline void transpose_square(const double* from, int64_t stride, double* out, int64_t width) {
  for (int p = 0; p < 4; ++p)
    for (int j = 0; j < 4; ++j) out[p * width + j] = from[j * stride + p];
}

// Packs columns [0, cols) of b's first `depth` rows as [depth, width], zero beyond cols.
template <class T>
inline void pack_columns(MatrixView<const T> b, int64_t depth, int64_t cols, int64_t width,
                         T* out) {
  constexpr int64_t kLanes = Simd<T>::kLanes;
  if (cols < width) std::fill(out, out + depth * width, T(0));
  if (b.col == 1) {
    for (int64_t p = 0; p < depth; ++p) {
      const T* from = b.data + p * b.row;
      T* to = out + p * width;
#pragma omp simd
      for (int64_t j = 0; j < cols; ++j) to[j] = from[j];
    }
    return;
  }
  int64_t j = 0;
  for (; b.row == 1 && j + kLanes <= cols; j += kLanes) {
    const T* from = b.data + j * b.col;
    int64_t p = 0;
    for (; p + kLanes <= depth; p += kLanes)
      transpose_square(from + p, b.col, out + p * width + j, width);
    for (; p < depth; ++p)
      for (int64_t l = 0; l < kLanes; ++l) out[p * width + j + l] = from[l * b.col + p];
  }
  for (; j < cols; ++j) {
    const T* from = b.data + j * b.col;
    for (int64_t p = 0; p < depth; ++p) out[p * width + j] = from[p * b.row];
  }
}

}  // namespace temper::cpu
