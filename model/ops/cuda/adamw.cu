#include <cmath>

#include "model/ops/cuda/adamw.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 256, kEach = 4;

struct Factors {
  float lr, beta1, beta2, eps, weight_decay, grad_scale, inverse_bias1, inverse_bias2;
};

template <class M>
__global__ void adamw_kernel(float* w, M* m, M* v, const float* grad, int64_t n, Factors f) {
  const int64_t begin = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kEach;
  if (begin >= n) return;
  const int count = n - begin < kEach ? static_cast<int>(n - begin) : kEach;
  Pack<float, kEach> wp{}, gp{};
  Pack<M, kEach> mp{}, vp{};
  if (count == kEach) {
    wp = load_pack<kEach>(w + begin), gp = load_pack<kEach>(grad + begin);
    mp = load_pack<kEach>(m + begin), vp = load_pack<kEach>(v + begin);
  } else {
    for (int i = 0; i < count; ++i)
      wp.at[i] = w[begin + i], gp.at[i] = grad[begin + i], mp.at[i] = m[begin + i],
      vp.at[i] = v[begin + i];
  }
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const float g = gp.at[i] * f.grad_scale;
    const float mean = f.beta1 * to_float(mp.at[i]) + (1.0F - f.beta1) * g;
    const float square = f.beta2 * to_float(vp.at[i]) + (1.0F - f.beta2) * g * g;
    const float step = mean * f.inverse_bias1 / (sqrtf(square * f.inverse_bias2) + f.eps);
    wp.at[i] -= f.lr * (step + f.weight_decay * wp.at[i]);
    mp.at[i] = from_float<M>(mean);
    vp.at[i] = from_float<M>(square);
  }
  if (count == kEach) {
    store_pack<kEach>(w + begin, wp);
    store_pack<kEach>(m + begin, mp);
    store_pack<kEach>(v + begin, vp);
  } else {
    for (int i = 0; i < count; ++i)
      w[begin + i] = wp.at[i], m[begin + i] = mp.at[i], v[begin + i] = vp.at[i];
  }
}

}  // namespace

void adamw_step(Context& ctx, Tensor weights, Tensor m, Tensor v, Tensor grad,
                const AdamWParams& params) {
  if (weights.empty()) return;
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
  const int64_t n = weights.numel();
  require(weights.contiguous() && grad.contiguous() && m.contiguous() && v.contiguous(),
          "adamw: a tensor is strided");
  dispatch(m.dtype, [&]<class M>() {
    adamw_kernel<<<blocks_for(n, kThreads * kEach), kThreads, 0, stream_of(ctx)>>>(
        data_of<float>(weights), data_of<M>(m), data_of<M>(v), data_of<float>(grad), n, f);
    check_launch();
  });
}

}  // namespace temper::cuda
