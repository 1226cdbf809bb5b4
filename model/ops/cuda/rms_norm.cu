#include "model/ops/cuda/rms_norm.h"

#include <algorithm>

#include "model/ops/cuda/column_sum.h"
#include "model/ops/cuda/following.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

constexpr int kMostThreads = 512;

template <class Y, class X>
struct Forward {
  Rows<Y> y, kept;  // kept: x rounded; null: not wanted
  float* rstd;
  Rows<X> x;
  const Y* w;
  float eps;
};

// One block a row; each thread takes packs of N neighbours.
template <class Y, class X, int N>
__global__ void forward_kernel(Forward<Y, X> f) {
  follow();
  const X* from = f.x.row(blockIdx.x);
  const int64_t step = int64_t{blockDim.x} * N, cols = f.x.cols;
  float squares = 0.0F;
  for (int64_t j = int64_t{threadIdx.x} * N; j < cols; j += step) {
    const auto p = load_pack<N>(from + j);
#pragma unroll
    for (int i = 0; i < N; ++i) squares += to_float(p.at[i]) * to_float(p.at[i]);
  }
  const float mean = block_sum(squares) / static_cast<float>(cols);
  const float r = 1.0F / sqrtf(mean + f.eps);
  if (f.rstd != nullptr && threadIdx.x == 0) f.rstd[blockIdx.x] = r;
  Y* to = f.y.row(blockIdx.x);
  for (int64_t j = int64_t{threadIdx.x} * N; j < cols; j += step) {
    const auto p = load_pack<N>(from + j);
    const auto g = load_pack<N>(f.w + j);
    Pack<Y, N> out, kept;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      out.at[i] = from_float<Y>(to_float(p.at[i]) * r * to_float(g.at[i]));
      kept.at[i] = from_float<Y>(to_float(p.at[i]));
    }
    store_pack<N>(to + j, out);
    if (f.kept) store_pack<N>(f.kept.row(blockIdx.x) + j, kept);
  }
}

template <class T>
struct Backward {
  Rows<T> dx;
  bool fresh;    // dx
  float* parts;  // [blocks, n] each block's share of dw; null: dw is not wanted
  Rows<T> dy, x;
  const T* w;
  const float* rstd;
  int64_t rows_of_block;
};

// The sums of kCount numbers over the block, in a fixed order.
template <int kCount>
__device__ void block_sums(float (&x)[kCount]) {
  __shared__ float parts[kCount][32];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
#pragma unroll
  for (int i = 0; i < kCount; ++i) x[i] = warp_sum(x[i]);
  if (warps == 1) return;
  __syncthreads();
  if (lane == 0)
#pragma unroll
    for (int i = 0; i < kCount; ++i) parts[i][warp] = x[i];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kCount; ++i) x[i] = warp_sum(lane < warps ? parts[i][lane] : 0.0F);
}

// Writes the thread's part of a block's share of dw.
template <int N, int kPacks>
__device__ void put_share(float* share, const float (&dw)[kPacks][N], int64_t n) {
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int64_t j = (int64_t{threadIdx.x} + p * int64_t{blockDim.x}) * N;
    if (j >= n) continue;
#pragma unroll
    for (int e = 0; e < N; ++e) share[j + e] = dw[p][e];
  }
}

// A block takes neighbouring rows, kRows at a time, and each thread the same kPacks packs of each:
// so its share of dw stays in registers.
template <class T, int N, int kPacks, int kRows>
__global__ void __launch_bounds__(kMostThreads) backward_kernel(Backward<T> b) {
  const int64_t n = b.x.cols, step = int64_t{blockDim.x} * N, column = int64_t{threadIdx.x} * N;
  const int64_t first = int64_t{blockIdx.x} * b.rows_of_block;
  const int64_t end = min(first + b.rows_of_block, b.x.rows);
  float dw[kPacks][N] = {};
  Pack<T, N> w[kPacks];
#pragma unroll
  for (int p = 0; p < kPacks; ++p)
    if (column + p * step < n) w[p] = load_pack<N>(b.w + column + p * step);
  for (int64_t row = first; row < end; row += kRows) {
    Pack<T, N> dy[kRows][kPacks], x[kRows][kPacks];
    float dot[kRows] = {}, r[kRows];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      if (row + i >= end) continue;
      r[i] = b.rstd[row + i];
#pragma unroll
      for (int p = 0; p < kPacks; ++p) {
        const int64_t j = column + p * step;
        if (j >= n) continue;
        dy[i][p] = load_pack<N>(b.dy.row(row + i) + j);
        x[i][p] = load_pack<N>(b.x.row(row + i) + j);
      }
    }
#pragma unroll
    for (int i = 0; i < kRows; ++i)
#pragma unroll
      for (int p = 0; p < kPacks; ++p)
        if (row + i < end && column + p * step < n)
#pragma unroll
          for (int e = 0; e < N; ++e) {
            const float grad = to_float(dy[i][p].at[e]), value = to_float(x[i][p].at[e]);
            dot[i] += grad * to_float(w[p].at[e]) * value;
            dw[p][e] += grad * (value * r[i]);
          }
    block_sums(dot);
#pragma unroll
    for (int i = 0; i < kRows; ++i)
#pragma unroll
      for (int p = 0; p < kPacks; ++p) {
        const int64_t j = column + p * step;
        if (!b.dx || row + i >= end || j >= n) continue;
        const float pull = dot[i] / static_cast<float>(n) * r[i] * r[i];
        T* to = b.dx.row(row + i) + j;
        Pack<T, N> out{};
        if (!b.fresh) out = load_pack<N>(to);
#pragma unroll
        for (int e = 0; e < N; ++e) {
          const float grad = r[i] * (to_float(dy[i][p].at[e]) * to_float(w[p].at[e]) -
                                     to_float(x[i][p].at[e]) * pull);
          out.at[e] = from_float<T>(b.fresh ? grad : to_float(out.at[e]) + grad);
        }
        store_pack<N>(to, out);
      }
  }
  if (b.parts != nullptr) put_share(b.parts + int64_t{blockIdx.x} * n, dw, n);
}

unsigned threads_for(int64_t packs_of_row) {
  return static_cast<unsigned>(
      std::clamp<int64_t>((packs_of_row + 31) / 32 * 32, 32, kMostThreads));
}

constexpr int64_t kMostBlocks = 2048;  // of 32 threads; fewer of larger ones

template <class T, int N, int kPacks, int kRows>
void launch_backward(Context& ctx, Backward<T> b, const Grad& dw) {
  const int64_t rows = b.x.rows, n = b.x.cols;
  const unsigned threads = threads_for((n / N + kPacks - 1) / kPacks);
  const int64_t most = std::max<int64_t>(256, kMostBlocks * 32 / threads);
  b.rows_of_block = std::max<int64_t>((rows + most - 1) / most, 1);
  b.rows_of_block = (b.rows_of_block + kRows - 1) / kRows * kRows;
  const unsigned blocks = blocks_for(rows, b.rows_of_block);
  ArenaScope scope(ctx.scratch);
  Tensor parts;
  if (dw.data != nullptr) {
    parts = ctx.scratch.tensor("rms_norm.parts", DType::f32, {blocks, n});
    b.parts = data_of<float>(parts);
  }
  backward_kernel<T, N, kPacks, kRows><<<blocks, threads, 0, stream_of(ctx)>>>(b);
  check_launch();
  if (dw.data != nullptr) sum_parts(ctx, dw, parts);
}

}  // namespace

void rms_norm_forward(Context& ctx, Tensor y, const RmsNormSaved& saved, Tensor x, Tensor w,
                      double eps) {
  if (y.empty()) return;
  dispatch_widening(y.dtype, x.dtype, [&]<class Y, class X>() {
    const Rows<Y> weight = rows_of<Y>(w);
    const Forward<Y, X> f{rows_of<Y>(y), rows_of<Y>(saved.x), data_of<float>(saved.rstd),
                          rows_of<X>(x), weight.data,         static_cast<float>(eps)};
    const auto blocks = static_cast<unsigned>(f.x.rows);
    constexpr int n = kWide<Y>;
    const bool wide = packs(f.y) && packs(f.kept) && packs(f.x) && packs(weight);
    launch_following(ctx, wide ? forward_kernel<Y, X, n> : forward_kernel<Y, X, 1>,
                     {blocks, threads_for(f.x.cols / (wide ? n : 1))}, f);
  });
}

void rms_norm_backward(Context& ctx, const RmsNormGrads& grads, Tensor dy, Tensor x, Tensor w,
                       Tensor rstd) {
  dispatch(dy.dtype, [&]<class T>() {
    const Rows<T> weight = rows_of<T>(w);
    const Backward<T> b{
        rows_of<T>(grads.dx), grads.dx.fresh,       nullptr, rows_of<T>(dy), rows_of<T>(x),
        weight.data,          data_of<float>(rstd), 0};
    dispatch_pack<T>({b.dx, b.dy, b.x, weight}, [&]<int N>() {
      const int64_t packs_of_row = b.x.cols / N;
      if (packs_of_row <= kMostThreads) return launch_backward<T, N, 1, 4>(ctx, b, grads.dw);
      if (packs_of_row <= 2 * kMostThreads) return launch_backward<T, N, 2, 2>(ctx, b, grads.dw);
      if (packs_of_row <= 8 * kMostThreads) return launch_backward<T, N, 8, 1>(ctx, b, grads.dw);
      // Only numbers taken one by one get here.
      require(N == 1 && packs_of_row <= 32 * kMostThreads,
              "rms_norm: the GPU takes no rows of this length");
      launch_backward<T, 1, 32, 1>(ctx, b, grads.dw);
    });
  });
}

}  // namespace temper::cuda
