// The register tile of the matrix product, and the packing that feeds it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "model/ops/cpu/gemm.h"
#include "model/ops/cpu/simd.h"

namespace temper::cpu {

inline constexpr int kTileRows = 6;     // rows of a full tile: 12 accumulators of 16 registers
inline constexpr int kNarrowRows = 12;  // rows of a tile one vector wide

// A tile of kRows x kVectors vectors, in memory that the loops below may index freely.
template <class T, int kRows, int kVectors>
struct TileBuffer {
  static constexpr int kWidth = kVectors * Simd<T>::kLanes;
  alignas(32) T value[kRows * kWidth];

  void load(const PanelProduct<T>& args) {
    for (int64_t j = 0; j < args.cols; ++j)
      for (int i = 0; i < kRows; ++i)
        value[i * kWidth + j] = args.c.data[i * args.c.row + j * args.c.col];
  }
  void store(const PanelProduct<T>& args) const {
    for (int64_t j = 0; j < args.cols; ++j)
      for (int i = 0; i < kRows; ++i)
        args.c.data[i * args.c.row + j * args.c.col] = value[i * kWidth + j];
  }
};

// to[i * row + vector j] = sum, or += sum.
template <class T, int kRows, int kVectors>
inline void put_sums(const typename Simd<T>::Vec (&sum)[kRows][kVectors], T* to, int64_t row,
                     bool add) {
  using Loose = typename Simd<T>::Loose;
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) {
      Loose* out = reinterpret_cast<Loose*>(to + i * row + j * Simd<T>::kLanes);
      *out = add ? *out + sum[i][j] : sum[i][j];
    }
  }
}

// sum = a b over `length` steps of k, ascending. The accumulators never leave the registers.
template <class T, int kRows, int kVectors>
inline void chain(int64_t length, const T* a, int64_t a_row, int64_t a_step, const T* b,
                  int64_t b_row, typename Simd<T>::Vec (&sum)[kRows][kVectors]) {
  using Vec = typename Simd<T>::Vec;
  using Loose = typename Simd<T>::Loose;
  // Three rows share a pointer: their addresses are base, base + row and base + 2 row, which x86
  // forms for free, where a pointer a row would not fit the registers.
  constexpr int kBases = (kRows + 2) / 3;
  const T* base[kBases];
  for (int i = 0; i < kBases; ++i) base[i] = a + 3 * i * a_row;
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) sum[i][j] = Vec{};
  for (int64_t p = 0; p < length; ++p) {
    Vec bv[kVectors];
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j)
      bv[j] = *reinterpret_cast<const Loose*>(b + j * Simd<T>::kLanes);
#pragma GCC unroll 12
    for (int i = 0; i < kRows; ++i) {
      const T ai = base[i / 3][(i % 3) * a_row];
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) multiply_add(sum[i][j], ai, bv[j]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kBases; ++i) base[i] += a_step;
    b += b_row;
  }
}

// c (+)= a b for one tile of kRows x (kVectors vectors).
template <class T, int kRows, int kVectors>
inline void tile(const PanelProduct<T>& args) {
  constexpr int kWidth = kVectors * Simd<T>::kLanes;
  const bool direct = args.c.col == 1 && args.cols == kWidth;
  TileBuffer<T, kRows, kVectors> buffer;
  if (!direct && args.accumulate) buffer.load(args);
  T* to = direct ? args.c.data : buffer.value;
  const int64_t row = direct ? args.c.row : kWidth;
  for (int64_t p = 0; p < args.k; p += args.depth) {
    typename Simd<T>::Vec sum[kRows][kVectors];
    chain<T, kRows, kVectors>(std::min(args.depth, args.k - p), args.a + p * args.a_step,
                              args.a_row, args.a_step, args.b + p * args.b_row, args.b_row, sum);
    put_sums<T, kRows, kVectors>(sum, to, row, args.accumulate || p > 0);
  }
  if (!direct) buffer.store(args);
}

// tile() for 1 .. kRows rows.
template <class T, int kRows, int kVectors>
inline void tile_rows(int64_t rows, const PanelProduct<T>& args) {
  if (rows == kRows) return tile<T, kRows, kVectors>(args);
  if constexpr (kRows > 1) tile_rows<T, kRows - 1, kVectors>(rows, args);
}

}  // namespace temper::cpu
