// Tiles of heads between device memory, shared memory and registers, for the kernels on tensor
// cores of any card.
#pragma once

#include "model/ops/cuda/attention_kernels.h"
#include "model/ops/cuda/mma.h"
#include "model/ops/cuda/narrow.h"

namespace temper::cuda {

// A head's rows, and whether they can be taken 16 and 4 bytes at a time.
template <class T>
struct HeadRows : Heads<T> {
  bool wide = false, paired = false;

  HeadRows() = default;
  explicit HeadRows(const Heads<T>& heads) : Heads<T>(heads) {
    const auto address = reinterpret_cast<uint64_t>(heads.data);
    wide = address % 16 == 0 && heads.stride % 8 == 0 && heads.dim % 8 == 0;
    paired = address % 4 == 0 && heads.stride % 2 == 0 && heads.dim % 2 == 0;
  }
};

// Calls body.template operator()<QK, V>() with the kernels' dimensions that a head fits into.
template <class Body>
void dispatch_head_dims(int dim_qk, int dim_v, Body&& body) {
  if (dim_qk <= 64 && dim_v <= 64) return body.template operator()<64, 64>();
  if (dim_qk <= 128 && dim_v <= 128) return body.template operator()<128, 128>();
  if (dim_qk <= 192 && dim_v <= 128) return body.template operator()<192, 128>();
  require(dim_qk <= 256 && dim_v <= 256, "attention: a head wider than 256");
  body.template operator()<256, 256>();
}

#ifdef __CUDACC__

// Begins to fill a tile with rows token .. token + kRows of a head; what lies beyond `rows` rows or
// the head's columns becomes 0. Done when the copies have arrived and the block has synchronised.
template <int kThreads, class T, int kRows, int kCols>
__device__ void fill_tile(const SharedTile<T, kRows, kCols>& tile, const HeadRows<T>& from,
                          int64_t token, int64_t head, int rows) {
  using Tile = SharedTile<T, kRows, kCols>;
  const T* base = from.at(token, head);
  const int64_t stride = from.token;
  if (from.wide) {
    // Eight threads take 128 bytes of a row; a thread keeps its columns modulo 64.
    constexpr int kRowsAtOnce = kThreads / 8;
    static_assert(kRows % kRowsAtOnce == 0 && kCols % 64 == 0, "every thread copies as much");
    const int first = threadIdx.x / 8, j = threadIdx.x % 8 * 8;
    const T* source = base + first * stride + j;
    T* to = tile.data + first * Tile::kPitch + j;
#pragma unroll
    for (int r = 0; r < kRows; r += kRowsAtOnce) {
#pragma unroll
      for (int c = 0; c < kCols; c += 64) {
        const bool valid = first + r < rows && j + c < from.dim;
        copy_later(to + r * Tile::kPitch + c, valid ? source + c : base, valid);
      }
      source += kRowsAtOnce * stride;
    }
    return;
  }
  for (int i = threadIdx.x; i < kRows * kCols; i += kThreads) {
    const int r = i / kCols, j = i % kCols;
    const bool valid = r < rows && j < from.dim;
    tile.data[r * Tile::kPitch + j] = valid ? base[r * stride + j] : from_float<T>(0.0F);
  }
}

// c[n] += rows `row` .. + 15 of a, times rows 8 n .. + 7 of b, over kCols numbers.
template <class T, int kRows, int kOther, int kCols>
__device__ void multiply_rows(FragmentC (&c)[kOther / 8], const SharedTile<T, kRows, kCols>& a,
                              int row, const SharedTile<T, kOther, kCols>& b) {
#pragma unroll
  for (int k = 0; k < kCols; k += 16) {
    const FragmentA left = a.left(row, k);
#pragma unroll
    for (int n = 0; n < kOther; n += 16)
      multiply<T>(c[n / 8], c[n / 8 + 1], left, b.right_transposed(n, k));
  }
}

// c += weights [16, kRows] (results of multiply_rows) times the tile's rows.
template <class T, int kRows, int kCols>
__device__ void multiply_weights(FragmentC (&c)[kCols / 8], const FragmentC (&weights)[kRows / 8],
                                 const SharedTile<T, kRows, kCols>& tile) {
#pragma unroll
  for (int k = 0; k < kRows; k += 16) {
    const FragmentA left = as_left<T>(weights[k / 8], weights[k / 8 + 1]);
#pragma unroll
    for (int n = 0; n < kCols; n += 16) multiply<T>(c[n / 8], c[n / 8 + 1], left, tile.right(k, n));
  }
}

// Calls body(pair, row, column) for each pair of neighbouring results of a thread: rows 0 .. 15,
// columns below `cols`, which come first in `pair`.
template <int kCols, class Body>
__device__ void for_pairs(const FragmentC (&c)[kCols / 8], int cols, Body&& body) {
  const int g = threadIdx.x % 32 / 4, at = threadIdx.x % 4 * 2;
#pragma unroll
  for (int n = 0; n < kCols; n += 8)
    if (n + at < cols) {
      body(make_float2(c[n / 8][0], c[n / 8][1]), g, n + at);
      body(make_float2(c[n / 8][2], c[n / 8][3]), g + 8, n + at);
    }
}

// to[j], to[j + 1] = pair, or += pair; a second one beyond the head's columns is dropped.
template <bool kAdd, class T>
__device__ void put_pair(const HeadRows<T>& to, T* row, int j, float2 pair) {
  if (to.paired) {
    auto* at = reinterpret_cast<PairOf<T>*>(row + j);
    if (kAdd) {
      const float2 before = widen_pair(*at);
      pair.x += before.x, pair.y += before.y;
    }
    *at = round_pair<T>(pair.x, pair.y);
    return;
  }
  row[j] = from_float<T>(kAdd ? to_float(row[j]) + pair.x : pair.x);
  if (j + 1 < to.dim) row[j + 1] = from_float<T>(kAdd ? to_float(row[j + 1]) + pair.y : pair.y);
}

#endif

}  // namespace temper::cuda
