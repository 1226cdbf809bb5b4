#include "model/ops/cpu/gemm.h"

#include "model/ops/cpu/gemm_tile.h"
#include "model/ops/cpu/parallel.h"

namespace temper::cpu {
namespace {

constexpr int64_t kRowBlock = 96;    // rows of a packed at a time (L2)
constexpr int64_t kColBlock = 1024;  // columns of b packed at a time (L3)
constexpr int64_t kSkinny = 32;      // columns up to which a is read where it lies

template <class T>
MatrixView<const T> at(MatrixView<const T> view, int64_t i, int64_t j) {
  return {view.data + i * view.row + j * view.col, view.row, view.col};
}

// Few columns: all of b is packed once, and a (each row contiguous) streams past it unpacked.
template <class T>
void skinny(const Gemm<T>& g, T* packed) {
  constexpr int64_t kLanes = Simd<T>::kLanes, kWide = kTileCols<T>;
  const int64_t depth = block_depth(g.k);
  const bool narrow = g.n <= kLanes;
  const int64_t width = narrow ? kLanes : kWide, panels = (g.n + width - 1) / width;
  for (int64_t j = 0; j < panels; ++j)
    pack_columns(at(g.b, 0, j * width), g.k, std::min(width, g.n - j * width), width,
                 packed + j * width * g.k);
  const int64_t step = narrow ? kNarrowRows : kTileRows;
  for (int64_t i = 0; i < g.m; i += step) {
    const int64_t rows = std::min(step, g.m - i);
    for (int64_t j = 0; j < panels; ++j) {
      for (int64_t p = 0; p < g.k; p += depth) {
        const int64_t length = std::min(depth, g.k - p);
        const T* a = g.a.data + i * g.a.row + p;
        const T* b = packed + (j * g.k + p) * width;
        const TileTarget<T> target{{g.c.data + i * g.c.row + j * width * g.c.col, g.c.row, g.c.col},
                                   std::min(width, g.n - j * width),
                                   g.accumulate || p > 0};
        if (narrow)
          tile_rows<T, kNarrowRows, 1>(rows, length, a, g.a.row, 1, b, target);
        else
          tile_rows<T, kTileRows, kTileVectors>(rows, length, a, g.a.row, 1, b, target);
      }
    }
  }
}

// One packed block of a (rows x length) times all packed panels of b.
template <class T>
void block_product(const Gemm<T>& g, int64_t rows, int64_t cols, int64_t length, const T* a,
                   const T* b, T* c, bool accumulate) {
  constexpr int64_t kWide = kTileCols<T>;
  for (int64_t j = 0; j < cols; j += kWide) {
    for (int64_t i = 0; i < rows; i += kTileRows) {
      const TileTarget<T> target{
          {c + i * g.c.row + j * g.c.col, g.c.row, g.c.col}, std::min(kWide, cols - j), accumulate};
      tile_rows<T, kTileRows, kTileVectors>(std::min<int64_t>(kTileRows, rows - i), length,
                                            a + i * length, 1, kTileRows, b + j * length, target);
    }
  }
}

template <class T>
void blocked(const Gemm<T>& g, T* workspace) {
  constexpr int64_t kWide = kTileCols<T>;
  const int64_t depth = block_depth(g.k);
  T* packed_a = workspace;
  T* packed_b = workspace + kRowBlock * depth;
  for (int64_t j = 0; j < g.n; j += kColBlock) {
    const int64_t cols = std::min(kColBlock, g.n - j);
    for (int64_t p = 0; p < g.k; p += depth) {
      const int64_t length = std::min(depth, g.k - p);
      for (int64_t jj = 0; jj < cols; jj += kWide)
        pack_columns(at(g.b, p, j + jj), length, std::min(kWide, cols - jj), kWide,
                     packed_b + jj * length);
      for (int64_t i = 0; i < g.m; i += kRowBlock) {
        const int64_t rows = std::min(kRowBlock, g.m - i);
        for (int64_t ii = 0; ii < rows; ii += kTileRows) {
          const MatrixView<const T> a = at(g.a, i + ii, p);
          pack_columns<T>({a.data, a.col, a.row}, length, std::min<int64_t>(kTileRows, rows - ii),
                          kTileRows, packed_a + ii * length);
        }
        block_product(g, rows, cols, length, packed_a, packed_b,
                      g.c.data + i * g.c.row + j * g.c.col, g.accumulate || p > 0);
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
  return {m,
          n,
          g.k,
          at(g.a, i, 0),
          at(g.b, 0, j),
          {g.c.data + i * g.c.row + j * g.c.col, g.c.row, g.c.col},
          g.accumulate};
}

}  // namespace

template <class T>
int64_t gemm_workspace(int64_t m, int64_t n, int64_t k) {
  constexpr int64_t kWide = kTileCols<T>;
  const int64_t depth = block_depth(k), most = std::max(m, n);
  const int64_t block = (std::min(most, kColBlock) + kWide - 1) / kWide * kWide;
  const int64_t all = (std::min(most, kSkinny) + kWide - 1) / kWide * kWide * k;
  return (std::max((kRowBlock + block) * depth, all) + 15) / 16 * 16;
}

template <class T>
void gemm_serial(const Gemm<T>& g, T* workspace) {
  if (g.m == 0 || g.n == 0) return;
  if (g.k == 0) {
    if (!g.accumulate) clear(g);
  } else if (g.n <= kSkinny && g.a.col == 1) {
    skinny(g, workspace);
  } else if (g.m <= kSkinny && g.b.row == 1) {
    skinny(transposed(g), workspace);
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
  const int64_t whole = by_rows ? g.m : g.n, unit = by_rows ? kTileRows : kTileCols<T>;
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
template void gemm(Context&, const Gemm<float>&);
template void gemm(Context&, const Gemm<double>&);

}  // namespace temper::cpu
