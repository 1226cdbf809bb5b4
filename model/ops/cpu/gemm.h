// The one matrix product of the CPU backend: packed panels and a register tile.
//
// Every element of c is computed as a chain of multiply-adds in ascending k, cut into blocks whose
// length depends on k alone. So the bits of an element depend on its row of a and its column of b,
// never on m, n, strides, threads or which code path ran. docs/decisions/ says why.
#pragma once

#include <cstdint>

#include "core/context.h"
#include "model/ops/cpu/simd.h"

namespace temper::cpu {

// c[i, j] (+)= sum_p a[i, p] b[p, j], with element (i, j) of a matrix at data[i * rows + j * cols].
template <class T>
struct MatrixView {
  T* data = nullptr;
  int64_t row = 0, col = 1;  // elements from one row (column) to the next
};
template <class T>
struct Gemm {
  int64_t m = 0, n = 0, k = 0;
  MatrixView<const T> a, b;  // [m, k], [k, n]
  MatrixView<T> c;           // [m, n]; row or col must be 1
  bool accumulate = false;
};

// The product on all threads of the pool. Aliasing: c overlaps neither a nor b.
template <class T>
void gemm(Context& ctx, const Gemm<T>& g);

// The product on the calling thread, for ops that divide their work themselves.
// `workspace` holds gemm_workspace<T>() elements for sizes that are at least m, n and k.
template <class T>
void gemm_serial(const Gemm<T>& g, T* workspace);
template <class T>
int64_t gemm_workspace(int64_t m, int64_t n, int64_t k);

// Columns of a full panel, and the k of a block: 16 f32 columns of it stay in L1.
template <class T>
inline constexpr int64_t kPanelCols = 2 * Simd<T>::kLanes;
inline constexpr int64_t kMostDepth = 384;

// Length of the blocks that k is cut into: equal parts, a function of k alone.
int64_t block_depth(int64_t k);

// The inner product of the packed algorithm: c (+)= a b for at most kPanelCols columns, with a at
// [i * a_row + p * a_step]. b is at [p * b_row + j], readable over whole vectors: one if
// cols <= lanes, else two.
template <class T>
struct PanelProduct {
  int64_t rows = 0, cols = 0, k = 0;
  const T* a = nullptr;
  int64_t a_row = 0, a_step = 1;
  const T* b = nullptr;
  int64_t b_row = kPanelCols<T>;
  MatrixView<T> c;
  bool accumulate = false;
  int64_t depth = kMostDepth;  // k is cut into blocks of it
};
template <class T>
void panel_product(PanelProduct<T> product);

}  // namespace temper::cpu
