#include <cmath>

#include "model/ops/cuda/adamw.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 256, kEach = 8;  // 16 bytes of a bf16 tensor, 32 of an f32 one, a thread

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

// `image` may be null.
template <class M>
__global__ void adamw_kernel(float* w, M* m, M* v, const float* grad, bf16* image, int64_t n,
                             Factors f) {
  const int64_t begin = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kEach;
  if (begin >= n) return;
  if (n - begin < kEach) {
    for (int64_t i = begin; i < n; ++i) {
      float mean = to_float(m[i]), square = to_float(v[i]);
      w[i] = updated(w[i], mean, square, grad[i], f);
      m[i] = from_float<M>(mean);
      v[i] = from_float<M>(square);
      if (image != nullptr) image[i] = from_float<bf16>(w[i]);
    }
    return;
  }
  auto wp = load_pack<kEach>(w + begin);
  const auto gp = load_pack<kEach>(grad + begin);
  auto mp = load_pack<kEach>(m + begin), vp = load_pack<kEach>(v + begin);
  Pack<bf16, kEach> ip;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    float mean = to_float(mp.at[i]), square = to_float(vp.at[i]);
    wp.at[i] = updated(wp.at[i], mean, square, gp.at[i], f);
    mp.at[i] = from_float<M>(mean);
    vp.at[i] = from_float<M>(square);
    ip.at[i] = from_float<bf16>(wp.at[i]);
  }
  store_pack<kEach>(w + begin, wp);
  store_pack<kEach>(m + begin, mp);
  store_pack<kEach>(v + begin, vp);
  if (image != nullptr) store_pack<kEach>(image + begin, ip);
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
  dispatch(tensors.m.dtype, [&]<class M>() {
    adamw_kernel<<<blocks_for(n, kThreads * kEach), kThreads, 0, stream_of(ctx)>>>(
        data_of<float>(tensors.weights), data_of<M>(tensors.m), data_of<M>(tensors.v),
        data_of<float>(tensors.grad), data_of<bf16>(tensors.image), n, f);
    check_launch();
  });
}

}  // namespace temper::cuda
