#include "model/ops/cpu/gemm.h"

#include "model/ops/cpu/gemm_pack.h"
#include "model/ops/cpu/gemm_tile.h"
#include "model/ops/cpu/parallel.h"

namespace temper::cpu {
namespace {

constexpr int64_t kRowBlock = 96;            // rows of a packed at a time (L2)
constexpr int64_t kColBlock = 1024;          // columns of b packed at a time (L3)
constexpr int64_t kFewRows = 24;             // too few to repay the packing of b
constexpr int64_t kStreamBytes = 256 << 10;  // of b that stays in L2 while a streams past

template <class T>
MatrixView<T> at(MatrixView<T> view, int64_t i, int64_t j) {
  return {view.data + i * view.row + j * view.col, view.row, view.col};
}

// What the panels of g share when a is read where it lies.
template <class T>
PanelProduct<T> product_of(const Gemm<T>& g) {
  PanelProduct<T> product;
  product.k = g.k;
  product.depth = block_depth(g.k);
  product.a_row = g.a.row;
  product.a_step = g.a.col;
  product.accumulate = g.accumulate;
  return product;
}

// Columns of b that are packed at a time, all of k, when a streams past.
template <class T>
int64_t stream_columns(int64_t k) {
  constexpr int64_t kWide = kPanelCols<T>;
  const int64_t fitting = kStreamBytes / static_cast<int64_t>(sizeof(T)) / std::max<int64_t>(1, k);
  return std::max<int64_t>(1, fitting / kWide) * kWide;
}

// Columns [first, first + cols) with a read where it lies (each row of it contiguous).
template <class T>
void stream_chunk(const Gemm<T>& g, int64_t first, int64_t cols, T* packed) {
  constexpr int64_t kLanes = Simd<T>::kLanes, kWide = kPanelCols<T>;
  for (int64_t j = 0; j < cols; j += kWide) {
    const int64_t left = std::min(kWide, cols - j);
    pack_columns(at(g.b, 0, first + j), g.k, left, left <= kLanes ? kLanes : kWide,
                 packed + j * g.k);
  }
  PanelProduct<T> product = product_of(g);
  for (int64_t i = 0; i < g.m; i += kNarrowRows) {
    product.rows = std::min<int64_t>(kNarrowRows, g.m - i);
    product.a = g.a.data + i * g.a.row;
    for (int64_t j = 0; j < cols; j += kWide) {
      product.cols = std::min(kWide, cols - j);
      product.b = packed + j * g.k;
      product.b_row = product.cols <= kLanes ? kLanes : kWide;
      product.c = at(g.c, i, first + j);
      panel_product(product);
    }
  }
}

template <class T>
void streamed(const Gemm<T>& g, T* workspace) {
  const int64_t most = stream_columns<T>(g.k);
  for (int64_t j = 0; j < g.n; j += most) stream_chunk(g, j, std::min(most, g.n - j), workspace);
}

// Few rows, b read where it lies (each row of it contiguous), its last columns packed.
template <class T>
void direct(const Gemm<T>& g, T* workspace) {
  constexpr int64_t kWide = kPanelCols<T>;
  PanelProduct<T> product = product_of(g);
  product.rows = g.m;
  product.a = g.a.data;
  for (int64_t j = 0; j < g.n; j += kWide) {
    product.cols = std::min(kWide, g.n - j);
    product.b = g.b.data + j;
    product.b_row = g.b.row;
    if (product.cols < kWide) {
      pack_columns(at(g.b, 0, j), g.k, product.cols, kWide, workspace);
      product.b = workspace;
      product.b_row = kWide;
    }
    product.c = at(g.c, 0, j);
    panel_product(product);
  }
}

// One packed block of a (rows x length) times all packed panels of b, into c from (i, j).
template <class T>
void block_product(int64_t rows, int64_t cols, PanelProduct<T> product, MatrixView<T> c) {
  constexpr int64_t kWide = kPanelCols<T>;
  const T *a = product.a, *b = product.b;
  for (int64_t j = 0; j < cols; j += kWide) {
    product.b = b + j * product.k;
    product.cols = std::min(kWide, cols - j);
    for (int64_t i = 0; i < rows; i += kTileRows) {
      product.rows = std::min<int64_t>(kTileRows, rows - i);
      product.a = a + i * product.k;
      product.c = at(c, i, j);
      panel_product(product);
    }
  }
}

template <class T>
void pack_rows(MatrixView<const T> a, int64_t rows, int64_t length, T* out) {
  for (int64_t i = 0; i < rows; i += kTileRows) {
    const MatrixView<const T> columns{a.data + i * a.row, a.col, a.row};  // of the transpose
    pack_columns(columns, length, std::min<int64_t>(kTileRows, rows - i), kTileRows,
                 out + i * length);
  }
}

// Both operands packed, block by block.
template <class T>
void blocked(const Gemm<T>& g, T* workspace) {
  constexpr int64_t kWide = kPanelCols<T>;
  const int64_t depth = block_depth(g.k);
  T* packed_a = workspace;
  T* packed_b = workspace + kRowBlock * depth;
  for (int64_t j = 0; j < g.n; j += kColBlock) {
    const int64_t cols = std::min(kColBlock, g.n - j);
    for (int64_t p = 0; p < g.k; p += depth) {
      PanelProduct<T> product;
      product.k = product.depth = std::min(depth, g.k - p);
      product.a = packed_a;
      product.a_row = 1;
      product.a_step = kTileRows;
      product.b = packed_b;
      product.accumulate = g.accumulate || p > 0;
      for (int64_t jj = 0; jj < cols; jj += kWide)
        pack_columns(at(g.b, p, j + jj), product.k, std::min(kWide, cols - jj), kWide,
                     packed_b + jj * product.k);
      for (int64_t i = 0; i < g.m; i += kRowBlock) {
        const int64_t rows = std::min(kRowBlock, g.m - i);
        pack_rows(at(g.a, i, p), rows, product.k, packed_a);
        block_product(rows, cols, product, at(g.c, i, j));
      }
    }
  }
}

template <class T>
void clear(const Gemm<T>& g) {
  for (int64_t i = 0; i < g.m; ++i)
    for (int64_t j = 0; j < g.n; ++j) g.c.data[i * g.c.row + j * g.c.col] = T(0);
}

// The transposed product: the same elements, bit for bit.
template <class T>
Gemm<T> transposed(const Gemm<T>& g) {
  return {g.n,
          g.m,
          g.k,
          {g.b.data, g.b.col, g.b.row},
          {g.a.data, g.a.col, g.a.row},
          {g.c.data, g.c.col, g.c.row},
          g.accumulate};
}

// The part of g that is rows [i, i + m) and columns [j, j + n).
template <class T>
Gemm<T> part(const Gemm<T>& g, int64_t i, int64_t m, int64_t j, int64_t n) {
  return {m, n, g.k, at(g.a, i, 0), at(g.b, 0, j), at(g.c, i, j), g.accumulate};
}

}  // namespace

int64_t block_depth(int64_t k) {
  const int64_t blocks = std::max<int64_t>(1, (k + kMostDepth - 1) / kMostDepth);
  return std::max<int64_t>(1, ((k + blocks - 1) / blocks + 7) / 8 * 8);
}

template <class T>
void panel_product(PanelProduct<T> product) {
  const bool narrow = product.cols <= Simd<T>::kLanes;
  const int64_t step = narrow ? kNarrowRows : kTileRows, rows = product.rows;
  for (int64_t i = 0; i < rows; i += step) {
    if (narrow)
      tile_rows<T, kNarrowRows, 1>(std::min(step, rows - i), product);
    else
      tile_rows<T, kTileRows, 2>(std::min(step, rows - i), product);
    product.a += step * product.a_row;
    product.c.data += step * product.c.row;
  }
}

template <class T>
int64_t gemm_workspace(int64_t m, int64_t n, int64_t k) {
  constexpr int64_t kWide = kPanelCols<T>;
  const int64_t depth = block_depth(k), most = std::max(m, n);
  const int64_t block = (std::min(most, kColBlock) + kWide - 1) / kWide * kWide;
  const int64_t stream = std::min(stream_columns<T>(k), block) * k;
  return (std::max((kRowBlock + block) * depth, stream) + 15) / 16 * 16;
}

template <class T>
void gemm_serial(const Gemm<T>& g, T* workspace) {
  if (g.m == 0 || g.n == 0) return;
  if (g.k == 0) {
    if (!g.accumulate) clear(g);
  } else if (g.a.col == 1 && g.b.row == 1) {  // x w^T: the longer operand streams
    streamed(g.m >= g.n ? g : transposed(g), workspace);
  } else if (g.a.col == 1 && g.n <= stream_columns<T>(g.k)) {
    streamed(g, workspace);
  } else if (g.a.col == 1 && g.b.col == 1 && g.m <= kFewRows) {
    direct(g, workspace);
  } else {
    blocked(g.c.col == 1 ? g : transposed(g), workspace);
  }
}

template <class T>
void gemm(Context& ctx, const Gemm<T>& g) {
  constexpr int64_t kSmallestShare = 65536;  // multiply-adds worth waking a thread for
  const int64_t wanted = std::min<int64_t>(ctx.pool.size(), g.m * g.n * g.k / kSmallestShare);
  const int64_t parts = std::max<int64_t>(1, wanted);
  const bool by_rows = g.m >= g.n;
  const int64_t whole = by_rows ? g.m : g.n, unit = by_rows ? kTileRows : kPanelCols<T>;
  const int64_t units = (whole + unit - 1) / unit;
  ArenaScope scope(ctx.scratch);
  const int64_t size = gemm_workspace<T>(g.m, g.n, g.k);
  const Tensor workspace = ctx.scratch.tensor("gemm.workspace", dtype_of<T>(), {parts, size});
  parallel_slots(ctx, parts, [&](int64_t slot) {
    const int64_t begin = units * slot / parts * unit;
    const int64_t end = std::min(whole, units * (slot + 1) / parts * unit);
    if (begin >= end) return;
    const Gemm<T> own =
        by_rows ? part(g, begin, end - begin, 0, g.n) : part(g, 0, g.m, begin, end - begin);
    gemm_serial(own, workspace.row<T>(slot));
  });
}

template int64_t gemm_workspace<float>(int64_t, int64_t, int64_t);
template int64_t gemm_workspace<double>(int64_t, int64_t, int64_t);
template void gemm_serial(const Gemm<float>&, float*);
template void gemm_serial(const Gemm<double>&, double*);
template void panel_product(PanelProduct<float>);
template void panel_product(PanelProduct<double>);
template void gemm(Context&, const Gemm<float>&);
template void gemm(Context&, const Gemm<double>&);

}  // namespace temper::cpu
