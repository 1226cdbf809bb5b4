// Tiles of 64 x 64 (f32) or 128 x 128 (bf16, tensor cores) of one group's product. The grid covers
// the most tiles that any split of R rows over E groups can have; a block finds its group by
// walking the offsets, and blocks beyond the last tile leave at once. Hopper has a version of its
// own (grouped_gemm_hopper.cu) for bf16; this one is its reference and serves every other case.
#include "model/ops/cuda/grouped_gemm.h"

#include "model/ops/cuda/grouped_few.h"
#include "model/ops/cuda/grouped_few_hopper.h"
#include "model/ops/cuda/grouped_gemm_hopper.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/mma.h"

namespace temper::cuda {
namespace {

// What a block multiplies: C (m x n) += A (m x k) B (k x n), with element (i, j) of a factor at
// data[i * row + j * col].
template <class T>
struct Factor {
  const T* data;
  int64_t row, col;
};
template <class C>
struct Product {
  C* c;
  int64_t stride;  // of C's rows
  int64_t m, n, k;
  bool add;  // C += instead of C =
};

struct Tile {
  int group;           // -1: nothing to do
  int64_t row;         // of the group's first row that the tile covers
  int64_t begin, end;  // the group's rows
};
// Tile `index` of the row tiles of all groups.
__device__ Tile find_tile(const int32_t* offsets, int64_t groups, int64_t index, int size) {
  for (int64_t e = 0; e < groups; ++e) {
    const int64_t begin = offsets[e], end = offsets[e + 1], tiles = (end - begin + size - 1) / size;
    if (index < tiles) return {static_cast<int>(e), begin + index * size, begin, end};
    index -= tiles;
  }
  return {-1, 0, 0, 0};
}

template <class C>
__device__ void put(C& to, float value, bool add) {
  to = from_float<C>(add ? to_float(to) + value : value);
}

// ---- f32: 256 threads, 64 x 64 tiles, 4 x 4 numbers a thread ------------------------------------
constexpr int kSide = 64, kDepth = 16;

template <class C>
__device__ void multiply(const Product<C>& p, const Factor<float>& a, const Factor<float>& b,
                         int64_t row, int64_t col) {
  __shared__ float as[kDepth][kSide + 4], bs[kDepth][kSide + 4];
  const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
  float sum[4][4] = {};
  for (int64_t k = 0; k < p.k; k += kDepth) {
    for (int e = threadIdx.x; e < kSide * kDepth; e += 256) {
      // The neighbours in memory go to neighbouring threads.
      const int ai = a.col == 1 ? e / kDepth : e % kSide, ak = a.col == 1 ? e % kDepth : e / kSide;
      const int bj = b.row == 1 ? e / kDepth : e % kSide, bk = b.row == 1 ? e % kDepth : e / kSide;
      as[ak][ai] =
          row + ai < p.m && k + ak < p.k ? a.data[(row + ai) * a.row + (k + ak) * a.col] : 0.0F;
      bs[bk][bj] =
          col + bj < p.n && k + bk < p.k ? b.data[(k + bk) * b.row + (col + bj) * b.col] : 0.0F;
    }
    __syncthreads();
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      float x[4], y[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) x[i] = as[d][ty * 4 + i], y[i] = bs[d][tx * 4 + i];
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[i][j] += x[i] * y[j];
    }
    __syncthreads();
  }
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j)
      if (row + ty * 4 + i < p.m && col + tx * 4 + j < p.n)
        put(p.c[(row + ty * 4 + i) * p.stride + col + tx * 4 + j], sum[i][j], p.add);
}

// ---- 16 bits: 4 warps, 128 x 128 tiles, 64 x 64 a warp on the tensor cores
// ---------------------------
constexpr int kWide = 128, kStep = 64, kStages = 3, kWideThreads = 128;

// A factor's tile as it lies in memory, rows of its contiguous dimension: the inner one, or, for
// `along` factors, that of the result.
template <class T, bool kAlong>
using FactorTile =
    std::conditional_t<kAlong, SharedTile<T, kStep, kWide>, SharedTile<T, kWide, kStep>>;
constexpr int kTileSize = FactorTile<bf16, false>::kSize > FactorTile<bf16, true>::kSize
                              ? FactorTile<bf16, false>::kSize
                              : FactorTile<bf16, true>::kSize;
constexpr int kWideBytes = kStages * 2 * kTileSize * static_cast<int>(sizeof(bf16));

// Rows of a matrix in device memory, and whether 16 bytes can be taken at a time.
template <class T>
struct Lines {
  const T* data;
  int64_t stride, rows, cols;
  bool wide;
  __device__ Lines(const T* d, int64_t s, int64_t r, int64_t c)
      : data(d),
        stride(s),
        rows(r),
        cols(c),
        wide(reinterpret_cast<uintptr_t>(d) % 16 == 0 && s % 8 == 0 && c % 8 == 0) {}
};

// Begins to fill a tile with rows from `row`, columns from `col`; what lies beyond becomes 0.
template <class T, int kRows, int kCols>
__device__ void fill(const SharedTile<T, kRows, kCols>& tile, const Lines<T>& from, int64_t row,
                     int64_t col) {
  using Tile = SharedTile<T, kRows, kCols>;
  if (!from.wide) {
    for (int e = threadIdx.x; e < kRows * kCols; e += kWideThreads) {
      const int r = e / kCols, c = e % kCols;
      const bool valid = row + r < from.rows && col + c < from.cols;
      tile.data[r * Tile::kPitch + c] =
          valid ? from.data[(row + r) * from.stride + col + c] : from_float<T>(0.0F);
    }
    return;
  }
  constexpr int kPacks = kCols / 8, kRowsAtOnce = kWideThreads / kPacks;
  const int first = threadIdx.x / kPacks, c = threadIdx.x % kPacks * 8;
  const bool inside = col + c < from.cols;
  const T* source = from.data + (row + first) * from.stride + col + c;
#pragma unroll
  for (int r = 0; r < kRows; r += kRowsAtOnce) {
    const bool valid = inside && row + first + r < from.rows;
    copy_later(tile.data + (first + r) * Tile::kPitch + c, valid ? source : from.data, valid);
    source += kRowsAtOnce * from.stride;
  }
}

__device__ inline void put_pair(float* to, float a, float b, bool add, bool both) {
  if (both && reinterpret_cast<uintptr_t>(to) % 8 == 0) {
    auto* pair = reinterpret_cast<float2*>(to);
    const float2 before = add ? *pair : make_float2(0.0F, 0.0F);
    *pair = make_float2(before.x + a, before.y + b);
    return;
  }
  put(to[0], a, add);
  if (both) put(to[1], b, add);
}
template <class T>
__device__ void put_pair(T* to, float a, float b, bool add, bool both) {
  if (both && reinterpret_cast<uintptr_t>(to) % 4 == 0) {
    auto* pair = reinterpret_cast<PairOf<T>*>(to);
    const float2 before = add ? widen_pair(*pair) : make_float2(0.0F, 0.0F);
    *pair = round_pair<T>(before.x + a, before.y + b);
    return;
  }
  put(to[0], a, add);
  if (both) put(to[1], b, add);
}

// The 64 x 64 numbers of one warp, from `row` and `col` of the product on.
template <class C>
__device__ void put_tile(const Product<C>& p, const FragmentC (&sum)[4][8], int64_t row,
                         int64_t col) {
  const int g = threadIdx.x % 32 / 4, c = threadIdx.x % 4 * 2;
#pragma unroll
  for (int m = 0; m < 4; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t i = row + m * 16 + half * 8 + g;
      if (i >= p.m) continue;
#pragma unroll
      for (int n = 0; n < 8; ++n) {
        const int64_t j = col + n * 8 + c;
        if (j < p.n)
          put_pair(p.c + i * p.stride + j, sum[m][n][2 * half], sum[m][n][2 * half + 1], p.add,
                   j + 1 < p.n);
      }
    }
  }
}

// kAAlong: A's lines run along the result's rows; else along the inner dimension. kBAlong likewise
// with the result's columns.
template <bool kAAlong, bool kBAlong, class T, class C>
__device__ void multiply_wide(const Product<C>& p, const Factor<T>& a, const Factor<T>& b,
                              int64_t row, int64_t col) {
  extern __shared__ uint4 shared[];  // uint4: aligned to 16 bytes
  auto* memory = reinterpret_cast<T*>(shared);
  const auto tile_a = [&](int64_t i) {
    return FactorTile<T, kAAlong>{memory + i % kStages * (2 * kTileSize)};
  };
  const auto tile_b = [&](int64_t i) {
    return FactorTile<T, kBAlong>{memory + i % kStages * (2 * kTileSize) + kTileSize};
  };
  const Lines from_a = kAAlong ? Lines(a.data, a.col, p.k, p.m) : Lines(a.data, a.row, p.m, p.k);
  const Lines from_b = kBAlong ? Lines(b.data, b.row, p.k, p.n) : Lines(b.data, b.col, p.n, p.k);
  const int64_t steps = (p.k + kStep - 1) / kStep;
  const auto begin_step = [&](int64_t i) {
    if (i < steps) {
      kAAlong ? fill(tile_a(i), from_a, i * kStep, row) : fill(tile_a(i), from_a, row, i * kStep);
      kBAlong ? fill(tile_b(i), from_b, i * kStep, col) : fill(tile_b(i), from_b, col, i * kStep);
    }
    end_copy_group();
  };
  const int warp = threadIdx.x / 32, wm = warp / 2 * 64, wn = warp % 2 * 64;
  FragmentC sum[4][8] = {};
  for (int64_t i = 0; i < kStages - 1; ++i) begin_step(i);
  for (int64_t i = 0; i < steps; ++i) {
    wait_copies<kStages - 2>();
    __syncthreads();
    begin_step(i + kStages - 1);
    const auto x = tile_a(i);
    const auto y = tile_b(i);
#pragma unroll
    for (int k = 0; k < kStep; k += 16) {
      FragmentA left[4];
#pragma unroll
      for (int m = 0; m < 4; ++m) {
        if constexpr (kAAlong) {
          left[m] = x.left_transposed(k, wm + m * 16);
        } else {
          left[m] = x.left(wm + m * 16, k);
        }
      }
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        FragmentB right;
        if constexpr (kBAlong) {
          right = y.right(k, wn + n * 16);
        } else {
          right = y.right_transposed(wn + n * 16, k);
        }
#pragma unroll
        for (int m = 0; m < 4; ++m) multiply<T>(sum[m][2 * n], sum[m][2 * n + 1], left[m], right);
      }
    }
  }
  put_tile(p, sum, row + wm, col + wn);
}

template <class T>
constexpr int kTile = sizeof(T) == 2 ? kWide : kSide;
template <class T>
constexpr int kThreads = sizeof(T) == 2 ? kWideThreads : 256;

// Starts a kernel with the shared memory that its tiles take.
template <class T, class Kernel, class... Arguments>
void launch(Context& ctx, Kernel* kernel, dim3 grid, Arguments... arguments) {
  constexpr int bytes = sizeof(T) == 2 ? kWideBytes : 0;
  if (bytes > 0)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  kernel<<<grid, kThreads<T>, bytes, stream_of(ctx)>>>(arguments...);
  check_launch();
}

// Rows of x times w^T (w_rows: forward) or times w (input gradient).
template <class T, bool kForward>
__global__ void __launch_bounds__(kThreads<T>)
    rows_kernel(Rows<T> y, bool add, Rows<T> x, const T* w, int64_t n, int64_t k,
                const int32_t* offsets, int64_t groups) {
  const Tile tile = find_tile(offsets, groups, blockIdx.y, kTile<T>);
  if (tile.group < 0) return;
  // Forward: w [N, K], output columns N, inner K. Input gradient: output columns K, inner N.
  const T* we = w + int64_t{tile.group} * n * k;
  const int64_t out = kForward ? n : k, inner = kForward ? k : n;
  const Product<T> p{y.row(tile.begin), y.stride, tile.end - tile.begin, out, inner, add};
  const Factor<T> a{x.row(tile.begin), x.stride, 1};
  const Factor<T> b{we, kForward ? 1 : k, kForward ? k : 1};
  const int64_t row = tile.row - tile.begin, col = int64_t{blockIdx.x} * kTile<T>;
  if constexpr (sizeof(T) == 2) {
    multiply_wide<false, !kForward>(p, a, b, row, col);
  } else {
    multiply(p, a, b, row, col);
  }
}

// dw_e [N, K] += dy_e^T x_e.
template <class T>
__global__ void __launch_bounds__(kThreads<T>)
    weight_kernel(float* dw, bool add, Rows<T> dy, Rows<T> x, const int32_t* offsets) {
  const int64_t e = blockIdx.z, begin = offsets[e], rows = offsets[e + 1] - begin;
  if (rows == 0 && add) return;
  const int64_t n = dy.cols, k = x.cols;
  const Product<float> p{dw + e * n * k, k, n, k, rows, add};
  const Factor<T> a{dy.row(begin), 1, dy.stride}, b{x.row(begin), x.stride, 1};
  const int64_t row = int64_t{blockIdx.y} * kTile<T>, col = int64_t{blockIdx.x} * kTile<T>;
  if constexpr (sizeof(T) == 2) {
    multiply_wide<true, true>(p, a, b, row, col);
  } else {
    multiply(p, a, b, row, col);
  }
}

template <bool kForward>
void multiply_rows(Context& ctx, Tensor y, bool add, Tensor x, Tensor w, Tensor offsets) {
  dispatch(y.dtype, [&]<class T>() {
    const Rows<T> to = rows_of<T>(y), from = rows_of<T>(x);
    const int64_t groups = w.dim(0);
    const int64_t tiles = to.rows / kTile<T> + (groups < to.rows ? groups : to.rows);
    const dim3 grid(blocks_for(to.cols, kTile<T>), static_cast<unsigned>(tiles));
    launch<T>(ctx, rows_kernel<T, kForward>, grid, to, add, from,
              static_cast<const T*>(data_of<T>(w)), w.dim(1), w.dim(2),
              static_cast<const int32_t*>(data_of<int32_t>(offsets)), groups);
  });
}

constexpr int64_t kFewRows = 64;

}  // namespace

bool few_rows(const PickedRows& rows, int64_t groups) {
  return rows.rows() <= kFewRows * groups;
}

void grouped_forward(Context& ctx, Tensor y, const PickedRows& x, Tensor w, Tensor offsets) {
  if (y.empty()) return;
  if (x.picked() && (few_rows(x, w.dim(0)) || better_laid_out(x, y.cols())))
    return grouped_forward(ctx, y, laid_out(ctx, x), w, offsets);
  if (!x.picked() && grouped_few_hopper(ctx, y, x.from, w, offsets)) return;
  if (!x.picked() && grouped_forward_few(ctx, y, x.from, w, offsets)) return;
  if (grouped_forward_hopper(ctx, y, x, w, offsets)) return;
  multiply_rows<true>(ctx, y, false, laid_out(ctx, x), w, offsets);
}

void grouped_input_grad(Context& ctx, const Grad& dx, const PickedRows& dy, Tensor w,
                        Tensor offsets) {
  if (dx.empty()) return;
  if (dy.picked() && (few_rows(dy, w.dim(0)) || better_laid_out(dy, dx.cols())))
    return grouped_input_grad(ctx, dx, laid_out(ctx, dy), w, offsets);
  if (grouped_input_grad_hopper(ctx, dx, dy, w, offsets)) return;
  multiply_rows<false>(ctx, dx, !dx.fresh, laid_out(ctx, dy), w, offsets);
}

void grouped_weight_grad(Context& ctx, const Grad& dw, const PickedRows& dy, const PickedRows& x,
                         Tensor offsets) {
  const bool none = dy.rows() == 0 || dy.cols() == 0;
  if (none) to_add(ctx, dw);
  if (dw.empty() || none || grouped_weight_grad_hopper(ctx, dw, dy, x, offsets)) return;
  const Tensor left = laid_out(ctx, dy), right = laid_out(ctx, x);
  dispatch(left.dtype, [&]<class T>() {
    const dim3 grid(blocks_for(right.cols(), kTile<T>), blocks_for(left.cols(), kTile<T>),
                    static_cast<unsigned>(dw.dim(0)));
    launch<T>(ctx, weight_kernel<T>, grid, data_of<float>(dw), !dw.fresh, rows_of<T>(left),
              rows_of<T>(right), static_cast<const int32_t*>(data_of<int32_t>(offsets)));
  });
}

}  // namespace temper::cuda
