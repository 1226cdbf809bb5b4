#include "model/ops/cpu/adamw.h"

#include <cmath>

#include "core/narrow_float.h"
#include "model/ops/cpu/parallel.h"

namespace temper::cpu {
namespace {

// The step's constants in the arithmetic of the weights.
template <class T>
struct Factors {
  T beta1, beta2, rest1, rest2, grad_scale, eps, step_size, root_bias2, decay;

  explicit Factors(const AdamWParams& p) {
    const double step = static_cast<double>(p.step);
    beta1 = static_cast<T>(p.beta1);
    beta2 = static_cast<T>(p.beta2);
    rest1 = static_cast<T>(1.0 - p.beta1);
    rest2 = static_cast<T>(1.0 - p.beta2);
    grad_scale = static_cast<T>(p.grad_scale);
    eps = static_cast<T>(p.eps);
    step_size = static_cast<T>(p.lr / (1.0 - std::pow(p.beta1, step)));
    root_bias2 = static_cast<T>(1.0 / std::sqrt(1.0 - std::pow(p.beta2, step)));
    decay = static_cast<T>(p.lr * p.weight_decay);
  }
};

inline float load(const float& x) {
  return x;
}
inline double load(const double& x) {
  return x;
}
inline float load(const uint16_t& x) {
  return from_bf16(x);
}
inline void store(float& to, float x) {
  to = x;
}
inline void store(double& to, double x) {
  to = x;
}
template <class T>
inline void store(uint16_t& to, T x) {
  to = to_bf16(static_cast<float>(x));
}

template <class T, class Moment>
void step(Context& ctx, int64_t n, T* w, Moment* m, Moment* v, const T* grad, Factors<T> f) {
  // Threads meet at multiples of kStretch, so that an element meets the same instructions always.
  constexpr int64_t kStretch = 4096;
  parallel_rows(ctx, (n + kStretch - 1) / kStretch, 8 * kStretch, [&](int64_t begin, int64_t end) {
    const int64_t last = std::min(n, end * kStretch);
#pragma omp simd
    for (int64_t i = begin * kStretch; i < last; ++i) {
      const T g = grad[i] * f.grad_scale;
      const T mean = f.beta1 * static_cast<T>(load(m[i])) + f.rest1 * g;
      const T square = f.beta2 * static_cast<T>(load(v[i])) + f.rest2 * g * g;
      store(m[i], mean);
      store(v[i], square);
      w[i] -= f.decay * w[i] + f.step_size * mean / (std::sqrt(square) * f.root_bias2 + f.eps);
    }
  });
}

}  // namespace

void adamw_step(Context& ctx, const AdamWTensors& tensors, const AdamWParams& params) {
  const auto& [weights, m, v, grad, image] = tensors;
  const int64_t n = weights.numel();
  dispatch_float(weights.dtype, [&]<class T>() {
    const Factors<T> factors(params);
    T* w = weights.get<T>();
    const T* g = grad.get<T>();
    if (m.dtype == DType::bf16)
      step(ctx, n, w, static_cast<uint16_t*>(m.data), static_cast<uint16_t*>(v.data), g, factors);
    else
      step(ctx, n, w, m.get<T>(), v.get<T>(), g, factors);
  });
}

}  // namespace temper::cpu
