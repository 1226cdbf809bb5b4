#include "model/ops/cpu/rms_norm.h"

#include "model/ops/cpu/parallel.h"
#include "model/ops/cpu/simd.h"

namespace temper::cpu {
namespace {

template <class T>
void forward(Context& ctx, const Tensor& y, const RmsNormSaved& saved, const Tensor& x,
             const Tensor& w, double eps) {
  const int64_t n = x.cols();
  const T* weight = w.get<T>();
  T* rstd = saved.rstd.data ? saved.rstd.get<T>() : nullptr;
  parallel_rows(ctx, x.rows(), 4 * n, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const T* from = x.row<T>(t);
      T* to = y.row<T>(t);
      const double squares = lane_sum<double>(n, [&](int64_t i) {
        const double value = from[i];
        return value * value;
      });
      const T r = static_cast<T>(1.0 / std::sqrt(squares / static_cast<double>(n) + eps));
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) to[i] = from[i] * r * weight[i];
      if (rstd) rstd[t] = r;
      if (saved.x.data) std::copy(from, from + n, saved.x.row<T>(t));
    }
  });
}

template <class T>
void backward_x(Context& ctx, const Tensor& dx, const Tensor& dy, const Tensor& x, const T* weight,
                const T* rstd) {
  const int64_t n = x.cols();
  parallel_rows(ctx, x.rows(), 6 * n, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const T *from = x.row<T>(t), *grad = dy.row<T>(t);
      T* to = dx.row<T>(t);
      const double dot = lane_sum<double>(n, [&](int64_t i) {
        return static_cast<double>(grad[i] * weight[i]) * static_cast<double>(from[i]);
      });
      const T r = rstd[t];
      const T pull = static_cast<T>(dot / static_cast<double>(n)) * r * r;
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) to[i] += r * (grad[i] * weight[i] - from[i] * pull);
    }
  });
}

// Threads share columns, so that each weight's sum runs over the rows in order.
template <class T>
void backward_w(Context& ctx, const Tensor& dw, const Tensor& dy, const Tensor& x, const T* rstd) {
  T* out = dw.get<T>();
  parallel_rows(ctx, x.cols(), 4 * x.rows(), [&](int64_t begin, int64_t end) {
    for (int64_t t = 0; t < x.rows(); ++t) {
      const T *from = x.row<T>(t), *grad = dy.row<T>(t);
      const T r = rstd[t];
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) out[i] += grad[i] * from[i] * r;
    }
  });
}

}  // namespace

void rms_norm_forward(Context& ctx, Tensor y, const RmsNormSaved& saved, Tensor x, Tensor w,
                      double eps) {
  dispatch_float(y.dtype, [&]<class T>() { forward<T>(ctx, y, saved, x, w, eps); });
}

void rms_norm_backward(Context& ctx, const RmsNormGrads& grads, Tensor dy, Tensor x, Tensor w,
                       Tensor rstd) {
  dispatch_float(dy.dtype, [&]<class T>() {
    const T* r = rstd.get<T>();
    if (grads.dx.data) backward_x<T>(ctx, grads.dx, dy, x, w.get<T>(), r);
    if (grads.dw.data) backward_w<T>(ctx, grads.dw, dy, x, r);
  });
}

}  // namespace temper::cpu
