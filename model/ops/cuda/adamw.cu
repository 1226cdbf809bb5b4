#include <cmath>

#include "model/ops/cuda/adamw.h"
#include "model/ops/cuda/block_double.h"
#include "model/ops/cuda/float_halves.h"
#include "model/ops/cuda/narrow.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 256, kEach = 8;  // 16 bytes of a narrow tensor, 32 of an f32 one, a thread

struct Factors {
  float lr, beta1, beta2, eps, weight_decay, grad_scale, inverse_bias1, inverse_bias2;
};

// Square root to two units in the last place; the exact one costs as much as all else here.
__device__ float quick_sqrt(float x) {
  float y;
  asm("sqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ float updated(float w, float& mean, float& square, float grad, const Factors& f) {
  const float g = grad * f.grad_scale;
  mean = f.beta1 * mean + (1.0F - f.beta1) * g;
  square = f.beta2 * square + (1.0F - f.beta2) * g * g;
  const float step =
      __fdividef(mean * f.inverse_bias1, quick_sqrt(square * f.inverse_bias2) + f.eps);
  return w - f.lr * (step + f.weight_decay * w);
}

// Where weights are f32, or the two halves of one.
struct Whole {
  float* w;

  template <int kCount>
  __device__ Pack<float, kCount> load(int64_t at) const {
    return load_pack<kCount>(w + at);
  }
  template <int kCount>
  __device__ void store(int64_t at, const Pack<float, kCount>& values) const {
    store_pack<kCount>(w + at, values);
  }
};
template <class T>
struct Halves {
  T* high;
  uint16_t* low;

  template <int kCount>
  __device__ Pack<float, kCount> load(int64_t at) const {
    const auto h = load_pack<kCount>(high + at);
    const auto l = load_pack<kCount>(low + at);
    Pack<float, kCount> values;
#pragma unroll
    for (int i = 0; i < kCount; ++i) values.at[i] = join_float(h.at[i], l.at[i]);
    return values;
  }
  template <int kCount>
  __device__ void store(int64_t at, const Pack<float, kCount>& values) const {
    Pack<T, kCount> h;
    Pack<uint16_t, kCount> l;
#pragma unroll
    for (int i = 0; i < kCount; ++i) split_float(values.at[i], h.at[i], l.at[i]);
    store_pack<kCount>(high + at, h);
    store_pack<kCount>(low + at, l);
  }
};

// Returns the sum of the squared changes.
template <int kCount, class W, class M>
__device__ float update(const W& weights, M* m, M* v, const float* grad, int64_t at,
                        const Factors& f) {
  auto w = weights.template load<kCount>(at);
  float squares = 0.0F;
  const auto g = load_pack<kCount>(grad + at);
  auto mean = load_pack<kCount>(m + at), square = load_pack<kCount>(v + at);
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    float first = to_float(mean.at[i]), second = to_float(square.at[i]);
    const float before = w.at[i];
    w.at[i] = updated(before, first, second, g.at[i], f);
    squares += (w.at[i] - before) * (w.at[i] - before);
    mean.at[i] = from_float<M>(first);
    square.at[i] = from_float<M>(second);
  }
  weights.template store<kCount>(at, w);
  store_pack<kCount>(m + at, mean);
  store_pack<kCount>(v + at, square);
  return squares;
}

// `parts` gets each block's squared changes; it may be null.
template <class W, class M>
__global__ void adamw_kernel(W weights, M* m, M* v, const float* grad, int64_t n, Factors f,
                             float* parts) {
  const int64_t begin = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kEach;
  float squares = 0.0F;
  if (n - begin >= kEach)
    squares = update<kEach>(weights, m, v, grad, begin, f);
  else
    for (int64_t i = begin; i < n; ++i) squares += update<1>(weights, m, v, grad, i, f);
  if (parts == nullptr) return;
  squares = block_sum(squares);
  if (threadIdx.x == 0) parts[blockIdx.x] = squares;
}

// Block b of several sums every gridDim.x-th stretch of kSumThreads parts, a single one all.
constexpr int kSumThreads = 1024, kSumBlocks = 128;
template <class Part>
__global__ void __launch_bounds__(kSumThreads)
    sum_kernel(double* sums, const Part* parts, int64_t n) {
  double sum = 0.0;
  for (int64_t i = int64_t{blockIdx.x} * kSumThreads + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * kSumThreads)
    sum += parts[i];
  sum = block_sum_double(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

void sum_parts(Context& ctx, const Tensor& sum, const Tensor& parts) {
  const Tensor sums = ctx.scratch.tensor("adamw.sums", DType::f64, {kSumBlocks});
  sum_kernel<<<kSumBlocks, kSumThreads, 0, stream_of(ctx)>>>(data_of<double>(sums),
                                                             data_of<float>(parts), parts.numel());
  check_launch();
  sum_kernel<<<1, kSumThreads, 0, stream_of(ctx)>>>(data_of<double>(sum), data_of<double>(sums),
                                                    kSumBlocks);
  check_launch();
}

}  // namespace

void adamw_step(Context& ctx, const AdamWTensors& tensors, const AdamWParams& params) {
  if (tensors.weights.empty()) return;
  const auto step = static_cast<double>(params.step);
  const auto narrow = [](double x) { return static_cast<float>(x); };
  const Factors f{narrow(params.lr),
                  narrow(params.beta1),
                  narrow(params.beta2),
                  narrow(params.eps),
                  narrow(params.weight_decay),
                  narrow(params.grad_scale),
                  narrow(1.0 / (1.0 - std::pow(params.beta1, step))),
                  narrow(1.0 / (1.0 - std::pow(params.beta2, step)))};
  const int64_t n = tensors.weights.numel();
  const auto blocks = blocks_for(n, kThreads * kEach);
  ArenaScope scope(ctx.scratch);
  Tensor parts;  // [blocks] f32
  if (tensors.squares.data != nullptr)
    parts = ctx.scratch.tensor("adamw.parts", DType::f32, {blocks});
  const auto with_moments = [&]<class M>() {
    const auto launch = [&](auto weights) {
      adamw_kernel<<<blocks, kThreads, 0, stream_of(ctx)>>>(
          weights, data_of<M>(tensors.m), data_of<M>(tensors.v), data_of<float>(tensors.grad), n, f,
          data_of<float>(parts));
      check_launch();
    };
    if (tensors.low.data == nullptr) return launch(Whole{data_of<float>(tensors.weights)});
    dispatch_narrow(tensors.weights.dtype, [&]<class T>() {
      launch(Halves<T>{data_of<T>(tensors.weights), static_cast<uint16_t*>(tensors.low.data)});
    });
  };
  if (tensors.m.dtype == DType::bf16)
    with_moments.template operator()<bf16>();
  else
    with_moments.template operator()<float>();
  if (!parts.empty()) sum_parts(ctx, tensors.squares, parts);
}

}  // namespace temper::cuda
