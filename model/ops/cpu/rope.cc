#include "model/ops/cpu/rope.h"

#include <cmath>

#include "model/ops/cpu/parallel.h"

namespace temper::cpu {
namespace {

// (a, b) -> (a cos - b sin, a sin + b cos), with sin times `direction` (+1 or -1).
template <class T>
void rotate(Context& ctx, const Tensor& x, const Tensor& cos, const Tensor& sin, RopeStyle style,
            T direction) {
  const int64_t half = x.cols() / 2, heads = x.rank == 3 ? x.dim(1) : 1;
  const bool pairs = style == RopeStyle::interleaved;
  const int64_t step = pairs ? 2 : 1, other = pairs ? 1 : half;
  parallel_rows(ctx, x.rows(), 8 * half, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      T* v = x.row<T>(r);
      const T *c = cos.row<T>(r / heads), *s = sin.row<T>(r / heads);
      for (int64_t j = 0; j < half; ++j) {
        const T a = v[j * step], b = v[j * step + other], turn = direction * s[j];
        v[j * step] = a * c[j] - b * turn;
        v[j * step + other] = a * turn + b * c[j];
      }
    }
  });
}

}  // namespace

void rope_tables(Context& ctx, Tensor cos, Tensor sin, Tensor positions,
                 const RopeFrequencies& frequencies) {
  const int32_t* position = positions.get<int32_t>();
  dispatch_float(cos.dtype, [&]<class T>() {
    parallel_rows(ctx, cos.rows(), 64 * cos.cols(), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        T *c = cos.row<T>(t), *s = sin.row<T>(t);
        for (int64_t j = 0; j < cos.cols(); ++j) {
          const double angle = position[t] * frequencies.inv_freq[static_cast<size_t>(j)];
          c[j] = static_cast<T>(frequencies.attention_factor * std::cos(angle));
          s[j] = static_cast<T>(frequencies.attention_factor * std::sin(angle));
        }
      }
    });
  });
}

void rope_forward(Context& ctx, Tensor x, Tensor cos, Tensor sin, RopeStyle style) {
  dispatch_float(x.dtype, [&]<class T>() { rotate<T>(ctx, x, cos, sin, style, T(1)); });
}

void rope_backward(Context& ctx, Tensor dx, Tensor cos, Tensor sin, RopeStyle style) {
  dispatch_float(dx.dtype, [&]<class T>() { rotate<T>(ctx, dx, cos, sin, style, T(-1)); });
}

}  // namespace temper::cpu
