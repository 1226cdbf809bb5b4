#include "model/ops/cpu/adamw.h"

#include <algorithm>
#include <cmath>
#include <numeric>

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

// Threads meet at multiples of kStretch, so that an element meets the same instructions always.
constexpr int64_t kStretch = 4096;

// One stretch; returns the sum of its squared changes. Everything is a value of its own here: what
// a lambda captures by reference is read again for every element, through gathers.
template <class T, class Moment>
T update(int64_t count, T* w, Moment* m, Moment* v, const T* grad, const Factors<T> f) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) {
    const T g = grad[i] * f.grad_scale;
    const T mean = f.beta1 * static_cast<T>(load(m[i])) + f.rest1 * g;
    const T square = f.beta2 * static_cast<T>(load(v[i])) + f.rest2 * g * g;
    store(m[i], mean);
    store(v[i], square);
    const T before = w[i];
    w[i] -= f.decay * w[i] + f.step_size * mean / (std::sqrt(square) * f.root_bias2 + f.eps);
    sum += (w[i] - before) * (w[i] - before);
  }
  return sum;
}

// `squares` gets the sum of a stretch's squared changes, each at its place.
template <class T, class Moment>
void step(Context& ctx, int64_t n, T* w, Moment* m, Moment* v, const T* grad, const Factors<T>& f,
          double* squares) {
  const int64_t stretches = (n + kStretch - 1) / kStretch;
  parallel_rows(ctx, stretches, 8 * kStretch, [&](int64_t begin, int64_t end) {
    for (int64_t stretch = begin; stretch < end; ++stretch) {
      const int64_t i = stretch * kStretch, count = std::min(kStretch, n - i);
      squares[stretch] = static_cast<double>(update(count, w + i, m + i, v + i, grad + i, f));
    }
  });
}

}  // namespace

void adamw_step(Context& ctx, const AdamWTensors& tensors, const AdamWParams& params) {
  const auto& [weights, m, v, grad, low, squares] = tensors;
  const int64_t n = weights.numel(), stretches = (n + kStretch - 1) / kStretch;
  ArenaScope scope(ctx.scratch);
  double* parts = ctx.scratch.tensor("adamw.squares", DType::f64, {stretches}).get<double>();
  dispatch_float(weights.dtype, [&]<class T>() {
    const Factors<T> factors(params);
    T* w = weights.get<T>();
    const T* g = grad.get<T>();
    if (m.dtype == DType::bf16)
      step(ctx, n, w, static_cast<uint16_t*>(m.data), static_cast<uint16_t*>(v.data), g, factors,
           parts);
    else
      step(ctx, n, w, m.get<T>(), v.get<T>(), g, factors, parts);
  });
  if (squares.data == nullptr) return;
  *squares.get<double>() = std::accumulate(parts, parts + stretches, 0.0);
}

}  // namespace temper::cpu
