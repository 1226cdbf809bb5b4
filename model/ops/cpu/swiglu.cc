#include "model/ops/cpu/swiglu.h"

#include "model/ops/cpu/parallel.h"
#include "model/ops/cpu/simd.h"

namespace temper::cpu {

void swiglu_forward(Context& ctx, Tensor y, Tensor gate, Tensor up) {
  dispatch_float(y.dtype, [&]<class T>() {
    parallel_rows(ctx, y.rows(), 8 * y.cols(), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const T *g = gate.row<T>(t), *u = up.row<T>(t);
        T* out = y.row<T>(t);
#pragma omp simd
        for (int64_t i = 0; i < y.cols(); ++i) out[i] = g[i] * sigmoid(g[i]) * u[i];
      }
    });
  });
}

void swiglu_backward(Context& ctx, Tensor dgate, Tensor dup, Tensor dy, Tensor gate, Tensor up) {
  dispatch_float(dy.dtype, [&]<class T>() {
    parallel_rows(ctx, dy.rows(), 16 * dy.cols(), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const T *g = gate.row<T>(t), *u = up.row<T>(t), *d = dy.row<T>(t);
        T *dg = dgate.row<T>(t), *du = dup.row<T>(t);
#pragma omp simd
        for (int64_t i = 0; i < dy.cols(); ++i) {
          const T s = sigmoid(g[i]);
          du[i] += d[i] * g[i] * s;
          dg[i] += d[i] * u[i] * s * (T(1) + g[i] * (T(1) - s));
        }
      }
    });
  });
}

}  // namespace temper::cpu
