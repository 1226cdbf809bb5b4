// The register tile of the matrix product, and the packing that feeds it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "model/ops/cpu/gemm.h"
#include "model/ops/cpu/simd.h"

namespace temper::cpu {

inline constexpr int kTileVectors = 2;      // vectors of columns in a full tile
inline constexpr int kTileRows = 6;         // rows of a full tile: 12 accumulators of 16 registers
inline constexpr int kNarrowRows = 12;      // rows of a tile one vector wide
inline constexpr int64_t kMostDepth = 384;  // k of a block: 16 columns of it stay in L1

// Columns of a full tile.
template <class T>
inline constexpr int kTileCols = kTileVectors* Simd<T>::kLanes;

// Length of the blocks that k is cut into: equal parts, a function of k alone.
inline int64_t block_depth(int64_t k) {
  const int64_t blocks = std::max<int64_t>(1, (k + kMostDepth - 1) / kMostDepth);
  return std::max<int64_t>(1, ((k + blocks - 1) / blocks + 7) / 8 * 8);
}

// Where a tile goes: c (+)= tile, with `rows` x `cols` of it inside the matrix.
template <class T>
struct TileTarget {
  MatrixView<T> c;
  int64_t cols = 0;
  bool accumulate = false;
};

// c (+)= a b for a tile of kRows x (kVectors vectors), k ascending. a has its elements at
// [i * a_row + p * a_step]; b is packed [depth, kVectors * lanes].
template <class T, int kRows, int kVectors>
inline void tile(int64_t depth, const T* a, int64_t a_row, int64_t a_step, const T* b,
                 const TileTarget<T>& target) {
  using Vec = typename Simd<T>::Vec;
  using Loose = typename Simd<T>::Loose;
  constexpr int kLanes = Simd<T>::kLanes;
  // Three rows share a pointer: their addresses are base, base + row and base + 2 row, which x86
  // forms for free, where a pointer a row would not fit the registers.
  constexpr int kBases = (kRows + 2) / 3;
  const T* base[kBases];
  for (int i = 0; i < kBases; ++i) base[i] = a + 3 * i * a_row;
  Vec sum[kRows][kVectors] = {};
  for (int64_t p = 0; p < depth; ++p) {
    Vec bv[kVectors];
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j)
      bv[j] = *reinterpret_cast<const Loose*>(b + (p * kVectors + j) * kLanes);
#pragma GCC unroll 12
    for (int i = 0; i < kRows; ++i) {
      const T ai = base[i / 3][(i % 3) * a_row];
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) multiply_add(sum[i][j], ai, bv[j]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kBases; ++i) base[i] += a_step;
  }
  if (target.c.col == 1 && target.cols == kVectors * kLanes) {
#pragma GCC unroll 12
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) {
        Loose* out = reinterpret_cast<Loose*>(target.c.data + i * target.c.row + j * kLanes);
        if (target.accumulate) sum[i][j] += *out;
        *out = sum[i][j];
      }
    }
    return;
  }
  for (int64_t j = 0; j < target.cols; ++j) {
    for (int i = 0; i < kRows; ++i) {
      T* out = target.c.data + i * target.c.row + j * target.c.col;
      const T value = sum[i][j / kLanes][j % kLanes];
      *out = target.accumulate ? *out + value : value;
    }
  }
}

// tile() for 1 .. kRows rows.
template <class T, int kRows, int kVectors>
inline void tile_rows(int64_t rows, int64_t depth, const T* a, int64_t a_row, int64_t a_step,
                      const T* b, const TileTarget<T>& target) {
  if (rows == kRows) return tile<T, kRows, kVectors>(depth, a, a_row, a_step, b, target);
  if constexpr (kRows > 1)
    tile_rows<T, kRows - 1, kVectors>(rows, depth, a, a_row, a_step, b, target);
}

// Packs columns [0, cols) of b's `depth` rows as [depth, width], zero beyond cols.
template <class T>
inline void pack_columns(MatrixView<const T> b, int64_t depth, int64_t cols, int64_t width,
                         T* out) {
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
  for (int64_t j = 0; j < cols; ++j) {
    const T* from = b.data + j * b.col;
    for (int64_t p = 0; p < depth; ++p) out[p * width + j] = from[p * b.row];
  }
}

}  // namespace temper::cpu
