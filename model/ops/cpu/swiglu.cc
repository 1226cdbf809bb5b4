#include "model/ops/cpu/swiglu.h"

#include "model/ops/cpu/parallel.h"
#include "model/ops/cpu/simd.h"

namespace temper::cpu {
namespace {

template <class T>
struct BackwardRow {
  T *dgate, *dup, *out;  // out may be null
  const T *dy, *gate, *up;
};
template <class T>
BackwardRow<T> row_of(const SwigluGrads& grads, const Tensor& y, const Tensor& dy,
                      const Tensor& gate, const Tensor& up, int64_t t) {
  return {grads.dgate.row<T>(t), grads.dup.row<T>(t), y.data == nullptr ? nullptr : y.row<T>(t),
          dy.row<T>(t),          gate.row<T>(t),      up.row<T>(t)};
}

template <class T>
void forward_row(T* out, const T* gate, const T* up, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) out[i] = gate[i] * sigmoid(gate[i]) * up[i];
}

// Of a row whose output counts `weight` times.
template <class T>
void add_gradients(const BackwardRow<T>& r, int64_t n, T weight) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const T s = sigmoid(r.gate[i]), d = weight * r.dy[i];
    r.dup[i] += d * r.gate[i] * s;
    r.dgate[i] += d * r.up[i] * s * (T(1) + r.gate[i] * (T(1) - s));
  }
}

}  // namespace

void swiglu_forward(Context& ctx, Tensor y, Tensor gate, Tensor up) {
  dispatch_float(y.dtype, [&]<class T>() {
    parallel_rows(ctx, y.rows(), 8 * y.cols(), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t)
        forward_row<T>(y.row<T>(t), gate.row<T>(t), up.row<T>(t), y.cols());
    });
  });
}

void swiglu_backward(Context& ctx, const SwigluGrads& grads, Tensor y, Tensor dy, Tensor gate,
                     Tensor up) {
  const int64_t n = dy.cols();
  dispatch_float(dy.dtype, [&]<class T>() {
    parallel_rows(ctx, dy.rows(), 24 * n, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const BackwardRow<T> r = row_of<T>(grads, y, dy, gate, up, t);
        add_gradients<T>(r, n, T(1));
        if (r.out != nullptr) forward_row<T>(r.out, r.gate, r.up, n);
      }
    });
  });
}

void weighted_swiglu_backward(Context& ctx, const SwigluGrads& grads, const Grad& dweights,
                              Tensor z, Tensor dz, Tensor gate, Tensor up, const RowWeights& rows) {
  const int64_t n = dz.cols(), per_token = rows.row_of.cols();
  dispatch_float(dz.dtype, [&]<class T>() {
    parallel_rows(ctx, rows.row_of.rows(), 32 * per_token * n, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t)
        for (int64_t k = 0; k < per_token; ++k) {
          const auto r = row_of<T>(grads, z, dz, gate, up, rows.row_of.row<int32_t>(t)[k]);
          const T weight = rows.weights.row<T>(t)[k];
          forward_row<T>(r.out, r.gate, r.up, n);
          dweights.row<T>(t)[k] += lane_sum<T>(n, [&](int64_t i) { return r.dy[i] * r.out[i]; });
          add_gradients<T>(r, n, weight);
#pragma omp simd
          for (int64_t i = 0; i < n; ++i) r.out[i] *= weight;
        }
    });
  });
}

}  // namespace temper::cpu
