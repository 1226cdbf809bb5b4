#include "model/ops/cuda/rms_norm.h"

#include <algorithm>

#include "model/ops/cuda/column_sum.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

// One block a row; each thread takes packs of N neighbours.
template <class T, int N>
__global__ void forward_kernel(Rows<T> y, float* rstd, Rows<T> x, const T* w, float eps) {
  const T* from = x.row(blockIdx.x);
  const int64_t step = int64_t{blockDim.x} * N;
  float squares = 0.0F;
  for (int64_t j = int64_t{threadIdx.x} * N; j < x.cols; j += step) {
    const auto p = load_pack<N>(from + j);
#pragma unroll
    for (int i = 0; i < N; ++i) squares += to_float(p.at[i]) * to_float(p.at[i]);
  }
  const float mean = block_sum(squares) / static_cast<float>(x.cols);
  const float r = 1.0F / sqrtf(mean + eps);
  if (rstd != nullptr && threadIdx.x == 0) rstd[blockIdx.x] = r;
  T* to = y.row(blockIdx.x);
  for (int64_t j = int64_t{threadIdx.x} * N; j < x.cols; j += step) {
    const auto p = load_pack<N>(from + j), g = load_pack<N>(w + j);
    Pack<T, N> out;
#pragma unroll
    for (int i = 0; i < N; ++i)
      out.at[i] = from_float<T>(to_float(p.at[i]) * r * to_float(g.at[i]));
    store_pack<N>(to + j, out);
  }
}

template <class T, int N>
__global__ void backward_kernel(Rows<T> dx, Rows<T> dy, Rows<T> x, const T* w, const float* rstd) {
  const T *dyr = dy.row(blockIdx.x), *xr = x.row(blockIdx.x);
  const int64_t step = int64_t{blockDim.x} * N;
  float dot = 0.0F;
  for (int64_t j = int64_t{threadIdx.x} * N; j < x.cols; j += step) {
    const auto d = load_pack<N>(dyr + j), p = load_pack<N>(xr + j), g = load_pack<N>(w + j);
#pragma unroll
    for (int i = 0; i < N; ++i) dot += to_float(d.at[i]) * to_float(g.at[i]) * to_float(p.at[i]);
  }
  const float r = rstd[blockIdx.x];
  const float shared = block_sum(dot) / static_cast<float>(x.cols) * r * r;
  T* to = dx.row(blockIdx.x);
  for (int64_t j = int64_t{threadIdx.x} * N; j < x.cols; j += step) {
    const auto d = load_pack<N>(dyr + j), p = load_pack<N>(xr + j), g = load_pack<N>(w + j);
    auto out = load_pack<N>(to + j);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float grad = r * (to_float(d.at[i]) * to_float(g.at[i]) - to_float(p.at[i]) * shared);
      out.at[i] = from_float<T>(to_float(out.at[i]) + grad);
    }
    store_pack<N>(to + j, out);
  }
}

unsigned threads_for(int64_t packs_of_row) {
  return static_cast<unsigned>(std::clamp<int64_t>((packs_of_row + 31) / 32 * 32, 32, 512));
}

}  // namespace

void rms_norm_forward(Context& ctx, Tensor y, Tensor rstd, Tensor x, Tensor w, double eps) {
  if (y.empty()) return;
  dispatch(y.dtype, [&]<class T>() {
    const Rows<T> to = rows_of<T>(y), from = rows_of<T>(x), weight = rows_of<T>(w);
    const auto blocks = static_cast<unsigned>(to.rows);
    float* r = data_of<float>(rstd);
    const auto e = static_cast<float>(eps);
    if (packs(to) && packs(from) && packs(weight)) {
      constexpr int n = kWide<T>;
      forward_kernel<T, n>
          <<<blocks, threads_for(to.cols / n), 0, stream_of(ctx)>>>(to, r, from, weight.data, e);
    } else {
      forward_kernel<T, 1>
          <<<blocks, threads_for(to.cols), 0, stream_of(ctx)>>>(to, r, from, weight.data, e);
    }
    check_launch();
  });
}

void rms_norm_backward(Context& ctx, const RmsNormGrads& grads, Tensor dy, Tensor x, Tensor w,
                       Tensor rstd) {
  if (dy.empty()) return;
  dispatch(dy.dtype, [&]<class T>() {
    const Rows<T> dyr = rows_of<T>(dy), xr = rows_of<T>(x), weight = rows_of<T>(w);
    const Rows<T> to = rows_of<T>(grads.dx);
    if (!to) return;
    const auto blocks = static_cast<unsigned>(to.rows);
    const float* r = data_of<float>(rstd);
    if (packs(to) && packs(dyr) && packs(xr) && packs(weight)) {
      constexpr int n = kWide<T>;
      backward_kernel<T, n>
          <<<blocks, threads_for(to.cols / n), 0, stream_of(ctx)>>>(to, dyr, xr, weight.data, r);
    } else {
      backward_kernel<T, 1>
          <<<blocks, threads_for(to.cols), 0, stream_of(ctx)>>>(to, dyr, xr, weight.data, r);
    }
    check_launch();
  });
  if (grads.dw.data != nullptr) add_column_sums(ctx, grads.dw, dy, x, rstd);
}

}  // namespace temper::cuda
