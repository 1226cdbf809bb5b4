// Tiles of 64 x 64 (f32) or 128 x 128 (bf16, tensor cores) of one group's product. The grid covers
// the most tiles that any split of R rows over E groups can have; a block finds its group by
// walking the offsets, and blocks beyond the last tile leave at once.
#include <mma.h>

#include "model/ops/cuda/grouped_gemm.h"
#include "model/ops/cuda/kernel.h"

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

// ---- bf16: 8 warps, 128 x 128 tiles, 64 x 32 a warp by 16 x 16 x 16 products --------------------
constexpr int kWide = 128, kStep = 32, kPad = 8;
namespace wmma = nvcuda::wmma;

// A factor's tile as it lies in memory: lines of the contiguous dimension.
struct Lines {
  bf16 data[kWide * (kStep + kPad) > kStep*(kWide + kPad) ? kWide*(kStep + kPad)
                                                          : kStep*(kWide + kPad)];
};

// Brings `outer` x `inner` numbers, contiguous along inner, masked with zeros; 8 at a time where
// the addresses allow.
template <int outer, int inner>
__device__ void bring(bf16* to, const bf16* from, int64_t stride, int64_t outer_left,
                      int64_t inner_left, bool aligned) {
  constexpr int line = inner + kPad;
  for (int e = threadIdx.x; e < outer * inner / 8; e += 256) {
    const int o = e / (inner / 8), i = e % (inner / 8) * 8;
    bf16* target = to + o * line + i;
    const bf16* source = from + o * stride + i;
    if (aligned && o < outer_left && i + 8 <= inner_left) {
      *reinterpret_cast<uint4*>(target) = *reinterpret_cast<const uint4*>(source);
    } else {
      for (int n = 0; n < 8; ++n)
        target[n] = o < outer_left && i + n < inner_left ? source[n] : __float2bfloat16_rn(0.0F);
    }
  }
}

__device__ bool aligned_rows(const bf16* data, int64_t stride) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0 && stride % 8 == 0;
}

// kAcross: A lies with its rows contiguous along m (a.row == 1); else along k. kBAcross: B along n.
template <bool kAAlongM, bool kBAlongN, class C>
__device__ void multiply_wide(const Product<C>& p, const Factor<bf16>& a, const Factor<bf16>& b,
                              int64_t row, int64_t col) {
  __shared__ union {
    struct {
      Lines a, b;
    } in;
    float out[8][16 * 20];
  } shared;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int wm = warp / 4 * 64, wn = warp % 4 * 32;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum[4][2];
  for (auto& line : sum)
    for (auto& fragment : line) wmma::fill_fragment(fragment, 0.0F);
  const int64_t a_stride = kAAlongM ? a.col : a.row, b_stride = kBAlongN ? b.row : b.col;
  const bool a_aligned = aligned_rows(a.data + row * a.row, a_stride);
  const bool b_aligned = aligned_rows(b.data + col * b.col, b_stride);
  for (int64_t k = 0; k < p.k; k += kStep) {
    const bf16* from_a = a.data + row * a.row + k * a.col;
    const bf16* from_b = b.data + k * b.row + col * b.col;
    if constexpr (kAAlongM) {
      bring<kStep, kWide>(shared.in.a.data, from_a, a_stride, p.k - k, p.m - row, a_aligned);
    } else {
      bring<kWide, kStep>(shared.in.a.data, from_a, a_stride, p.m - row, p.k - k, a_aligned);
    }
    if constexpr (kBAlongN) {
      bring<kStep, kWide>(shared.in.b.data, from_b, b_stride, p.k - k, p.n - col, b_aligned);
    } else {
      bring<kWide, kStep>(shared.in.b.data, from_b, b_stride, p.n - col, p.k - k, b_aligned);
    }
    __syncthreads();
    using ALayout = std::conditional_t<kAAlongM, wmma::col_major, wmma::row_major>;
    using BLayout = std::conditional_t<kBAlongN, wmma::row_major, wmma::col_major>;
    constexpr int a_line = (kAAlongM ? kWide : kStep) + kPad;
    constexpr int b_line = (kBAlongN ? kWide : kStep) + kPad;
#pragma unroll
    for (int d = 0; d < kStep; d += 16) {
      wmma::fragment<wmma::matrix_a, 16, 16, 16, bf16, ALayout> x[4];
      wmma::fragment<wmma::matrix_b, 16, 16, 16, bf16, BLayout> y[2];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int m = wm + i * 16;
        wmma::load_matrix_sync(
            x[i], shared.in.a.data + (kAAlongM ? d * a_line + m : m * a_line + d), a_line);
      }
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int n = wn + j * 16;
        wmma::load_matrix_sync(
            y[j], shared.in.b.data + (kBAlongN ? d * b_line + n : n * b_line + d), b_line);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 2; ++j) wmma::mma_sync(sum[i][j], x[i], y[j], sum[i][j]);
    }
    __syncthreads();
  }
  float* out = shared.out[warp];
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 2; ++j) {
      wmma::store_matrix_sync(out, sum[i][j], 20, wmma::mem_row_major);
      __syncwarp();
      for (int e = lane; e < 256; e += 32) {
        const int64_t m = row + wm + i * 16 + e / 16, n = col + wn + j * 16 + e % 16;
        if (m < p.m && n < p.n) put(p.c[m * p.stride + n], out[e / 16 * 20 + e % 16], p.add);
      }
      __syncwarp();
    }
  }
}

template <class T>
constexpr int kTile = sizeof(T) == 2 ? kWide : kSide;

// Rows of x times w^T (w_rows: forward) or times w (input gradient).
template <class T, bool kForward>
__global__ void __launch_bounds__(256)
    rows_kernel(Rows<T> y, Rows<T> x, const T* w, int64_t n, int64_t k, const int32_t* offsets,
                int64_t groups) {
  const Tile tile = find_tile(offsets, groups, blockIdx.y, kTile<T>);
  if (tile.group < 0) return;
  // Forward: w [N, K], output columns N, inner K. Input gradient: output columns K, inner N.
  const T* we = w + int64_t{tile.group} * n * k;
  const int64_t out = kForward ? n : k, inner = kForward ? k : n;
  const Product<T> p{y.row(tile.begin), y.stride, tile.end - tile.begin, out, inner, !kForward};
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
__global__ void __launch_bounds__(256)
    weight_kernel(float* dw, Rows<T> dy, Rows<T> x, const int32_t* offsets) {
  const int64_t e = blockIdx.z, begin = offsets[e], rows = offsets[e + 1] - begin;
  if (rows == 0) return;
  const int64_t n = dy.cols, k = x.cols;
  const Product<float> p{dw + e * n * k, k, n, k, rows, true};
  const Factor<T> a{dy.row(begin), 1, dy.stride}, b{x.row(begin), x.stride, 1};
  const int64_t row = int64_t{blockIdx.y} * kTile<T>, col = int64_t{blockIdx.x} * kTile<T>;
  if constexpr (sizeof(T) == 2) {
    multiply_wide<true, true>(p, a, b, row, col);
  } else {
    multiply(p, a, b, row, col);
  }
}

template <bool kForward>
void multiply_rows(Context& ctx, Tensor y, Tensor x, Tensor w, Tensor offsets) {
  if (y.empty()) return;
  dispatch(y.dtype, [&]<class T>() {
    const Rows<T> to = rows_of<T>(y), from = rows_of<T>(x);
    const int64_t groups = w.dim(0);
    const int64_t tiles = to.rows / kTile<T> + (groups < to.rows ? groups : to.rows);
    const dim3 grid(blocks_for(to.cols, kTile<T>), static_cast<unsigned>(tiles));
    rows_kernel<T, kForward><<<grid, 256, 0, stream_of(ctx)>>>(
        to, from, data_of<T>(w), w.dim(1), w.dim(2), data_of<int32_t>(offsets), groups);
    check_launch();
  });
}

}  // namespace

void grouped_forward(Context& ctx, Tensor y, Tensor x, Tensor w, Tensor offsets) {
  multiply_rows<true>(ctx, y, x, w, offsets);
}

void grouped_input_grad(Context& ctx, Tensor dx, Tensor dy, Tensor w, Tensor offsets) {
  multiply_rows<false>(ctx, dx, dy, w, offsets);
}

void grouped_weight_grad(Context& ctx, Tensor dw, Tensor dy, Tensor x, Tensor offsets) {
  if (dw.empty() || dy.empty()) return;
  dispatch(dy.dtype, [&]<class T>() {
    const dim3 grid(blocks_for(x.cols(), kTile<T>), blocks_for(dy.cols(), kTile<T>),
                    static_cast<unsigned>(dw.dim(0)));
    weight_kernel<<<grid, 256, 0, stream_of(ctx)>>>(data_of<float>(dw), rows_of<T>(dy),
                                                    rows_of<T>(x), data_of<int32_t>(offsets));
    check_launch();
  });
}

}  // namespace temper::cuda
