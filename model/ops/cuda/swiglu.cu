#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/pack.h"
#include "model/ops/cuda/swiglu.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 256;

__device__ float sigmoid(float x) {
  return 1.0F / (1.0F + __expf(-x));
}

template <class T, int N>
__global__ void forward_kernel(Rows<T> y, Rows<T> gate, Rows<T> up) {
  const int64_t per_row = y.cols / N, index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t row = index / per_row, col = index % per_row * N;
  if (row >= y.rows) return;
  const auto g = load_pack<N>(gate.row(row) + col), u = load_pack<N>(up.row(row) + col);
  Pack<T, N> out;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const float x = to_float(g.at[i]);
    out.at[i] = from_float<T>(x * sigmoid(x) * to_float(u.at[i]));
  }
  store_pack<N>(y.row(row) + col, out);
}

template <class T, int N>
__global__ void backward_kernel(Rows<T> dgate, Rows<T> dup, Rows<T> dy, Rows<T> gate, Rows<T> up) {
  const int64_t per_row = dy.cols / N, index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t row = index / per_row, col = index % per_row * N;
  if (row >= dy.rows) return;
  const auto g = load_pack<N>(gate.row(row) + col), u = load_pack<N>(up.row(row) + col);
  const auto d = load_pack<N>(dy.row(row) + col);
  auto dg = load_pack<N>(dgate.row(row) + col), du = load_pack<N>(dup.row(row) + col);
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const float x = to_float(g.at[i]), s = sigmoid(x), dout = to_float(d.at[i]);
    du.at[i] = from_float<T>(to_float(du.at[i]) + dout * x * s);
    dg.at[i] =
        from_float<T>(to_float(dg.at[i]) + dout * to_float(u.at[i]) * s * (1.0F + x * (1.0F - s)));
  }
  store_pack<N>(dgate.row(row) + col, dg);
  store_pack<N>(dup.row(row) + col, du);
}

}  // namespace

void swiglu_forward(Context& ctx, Tensor y, Tensor gate, Tensor up) {
  if (y.empty()) return;
  dispatch(y.dtype, [&]<class T>() {
    const Rows<T> o = rows_of<T>(y), g = rows_of<T>(gate), u = rows_of<T>(up);
    constexpr int n = kWide<T>;
    const bool wide = packs(o) && packs(g) && packs(u);
    const auto blocks = blocks_for(o.rows * o.cols / (wide ? n : 1), kThreads);
    if (wide) {
      forward_kernel<T, n><<<blocks, kThreads, 0, stream_of(ctx)>>>(o, g, u);
    } else {
      forward_kernel<T, 1><<<blocks, kThreads, 0, stream_of(ctx)>>>(o, g, u);
    }
    check_launch();
  });
}

void swiglu_backward(Context& ctx, Tensor dgate, Tensor dup, Tensor dy, Tensor gate, Tensor up) {
  if (dy.empty()) return;
  dispatch(dy.dtype, [&]<class T>() {
    const Rows<T> dg = rows_of<T>(dgate), du = rows_of<T>(dup), d = rows_of<T>(dy);
    const Rows<T> g = rows_of<T>(gate), u = rows_of<T>(up);
    constexpr int n = kWide<T>;
    const bool wide = packs(dg) && packs(du) && packs(d) && packs(g) && packs(u);
    const auto blocks = blocks_for(d.rows * d.cols / (wide ? n : 1), kThreads);
    if (wide) {
      backward_kernel<T, n><<<blocks, kThreads, 0, stream_of(ctx)>>>(dg, du, d, g, u);
    } else {
      backward_kernel<T, 1><<<blocks, kThreads, 0, stream_of(ctx)>>>(dg, du, d, g, u);
    }
    check_launch();
  });
}

}  // namespace temper::cuda
