#include "model/ops/cuda/swiglu.h"

#include "model/ops/cuda/following.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/pack.h"
#include "model/ops/cuda/sigmoid.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;

template <class T, int N>
__global__ void forward_kernel(Rows<T> y, Rows<T> gate, Rows<T> up) {
  follow();
  const Place p = place_of<N>(y.cols);
  if (p.row >= y.rows) return;
  const auto g = load_pack<N>(gate.row(p.row) + p.col), u = load_pack<N>(up.row(p.row) + p.col);
  Pack<T, N> out;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const float x = to_float(g.at[i]);
    out.at[i] = from_float<T>(x * sigmoid(x) * to_float(u.at[i]));
  }
  store_pack<N>(y.row(p.row) + p.col, out);
}

template <class T>
struct Backward {
  Rows<T> dgate, dup;
  bool dgate_fresh, dup_fresh;
  Rows<T> y, dy, gate, up;  // y may be null
};

template <class T, int N>
__device__ void put_gradient(T* to, bool fresh, const float (&grad)[N]) {
  Pack<T, N> out{};
  if (!fresh) out = load_pack<N>(to);
#pragma unroll
  for (int i = 0; i < N; ++i)
    out.at[i] = from_float<T>(fresh ? grad[i] : to_float(out.at[i]) + grad[i]);
  store_pack<N>(to, out);
}

// One pack of a row whose output counts `weight` times; returns its part of dy . silu(gate) up.
template <class T, int N>
__device__ float pack_gradient(const Backward<T>& b, int64_t row, int64_t col, float weight) {
  const auto g = load_pack<N>(b.gate.row(row) + col), u = load_pack<N>(b.up.row(row) + col);
  const auto d = load_pack<N>(b.dy.row(row) + col);
  float dgate[N], dup[N], dot = 0.0F;
  Pack<T, N> y;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const float x = to_float(g.at[i]), s = sigmoid(x), silu = x * s, value = to_float(u.at[i]);
    const float dout = to_float(d.at[i]), grad = weight * dout;
    y.at[i] = from_float<T>(weight * silu * value);
    dot += dout * silu * value;
    dup[i] = grad * silu;
    dgate[i] = grad * value * s * (1.0F + x * (1.0F - s));
  }
  put_gradient<T, N>(b.dgate.row(row) + col, b.dgate_fresh, dgate);
  put_gradient<T, N>(b.dup.row(row) + col, b.dup_fresh, dup);
  if (b.y) store_pack<N>(b.y.row(row) + col, y);
  return dot;
}

template <class T, int N>
__global__ void backward_kernel(Backward<T> b) {
  follow();
  const Place p = place_of<N>(b.dy.cols);
  if (p.row < b.dy.rows) pack_gradient<T, N>(b, p.row, p.col, 1.0F);
}

struct Weighted {
  const float* weights;
  float* dweights;
  bool fresh;
  const int32_t* row_of;
  int64_t count;
};

// A warp takes the row of a choice.
template <class T, int N>
__global__ void weighted_kernel(Backward<T> b, Weighted w) {
  follow();
  const int64_t choice = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
  if (choice >= w.count) return;
  const int64_t row = w.row_of[choice];
  const float weight = w.weights[choice];
  float dot = 0.0F;
#pragma unroll 2
  for (int64_t col = threadIdx.x % 32 * N; col < b.dy.cols; col += 32 * N)
    dot += pack_gradient<T, N>(b, row, col, weight);
  dot = warp_sum(dot);
  if (threadIdx.x % 32 == 0) w.dweights[choice] = w.fresh ? dot : w.dweights[choice] + dot;
}

template <class T>
Backward<T> backward_of(const SwigluGrads& grads, const Tensor& y, const Tensor& dy,
                        const Tensor& gate, const Tensor& up) {
  return {rows_of<T>(grads.dgate), rows_of<T>(grads.dup), grads.dgate.fresh, grads.dup.fresh,
          rows_of<T>(y),           rows_of<T>(dy),        rows_of<T>(gate),  rows_of<T>(up)};
}

}  // namespace

void swiglu_forward(Context& ctx, Tensor y, Tensor gate, Tensor up) {
  if (y.empty()) return;
  dispatch(y.dtype, [&]<class T>() {
    const Rows<T> o = rows_of<T>(y), g = rows_of<T>(gate), u = rows_of<T>(up);
    dispatch_pack<T>({o, g, u}, [&]<int N>() {
      const unsigned blocks = blocks_for(o.rows * o.cols / N, kThreads);
      launch_following(ctx, forward_kernel<T, N>, {blocks, kThreads}, o, g, u);
    });
  });
}

void swiglu_backward(Context& ctx, const SwigluGrads& grads, Tensor y, Tensor dy, Tensor gate,
                     Tensor up) {
  if (dy.empty()) return;
  dispatch(dy.dtype, [&]<class T>() {
    const Backward<T> b = backward_of<T>(grads, y, dy, gate, up);
    dispatch_pack<T>({b.dgate, b.dup, b.y, b.dy, b.gate, b.up}, [&]<int N>() {
      const unsigned blocks = blocks_for(b.dy.rows * b.dy.cols / N, kThreads);
      launch_following(ctx, backward_kernel<T, N>, {blocks, kThreads}, b);
    });
  });
}

void weighted_swiglu_backward(Context& ctx, const SwigluGrads& grads, const Grad& dweights,
                              Tensor z, Tensor dz, Tensor gate, Tensor up, const RowWeights& rows) {
  if (dz.empty()) return;
  dispatch(dz.dtype, [&]<class T>() {
    const Backward<T> b = backward_of<T>(grads, z, dz, gate, up);
    const Weighted w{data_of<float>(rows.weights), data_of<float>(dweights), dweights.fresh,
                     data_of<int32_t>(rows.row_of), rows.row_of.numel()};
    dispatch_pack<T>({b.dgate, b.dup, b.y, b.dy, b.gate, b.up}, [&]<int N>() {
      launch_following(ctx, weighted_kernel<T, N>, {blocks_for(w.count, kWarps), kThreads}, b, w);
    });
  });
}

}  // namespace temper::cuda
