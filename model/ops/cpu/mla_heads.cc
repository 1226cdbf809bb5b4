#include "model/ops/cpu/mla_heads.h"

#include <algorithm>

#include "model/ops/cpu/parallel.h"

namespace temper::cpu {
namespace {

// to = from rotated by the angles, or by the negative ones (direction -1); `to` may be `from`.
template <class T>
void rotate(T* to, const T* from, const T* cos, const T* sin, int64_t pairs, T direction) {
  for (int64_t j = 0; j < pairs; ++j) {
    const T a = from[2 * j], b = from[2 * j + 1], s = direction * sin[j];
    to[2 * j] = a * cos[j] - b * s;
    to[2 * j + 1] = a * s + b * cos[j];
  }
}

}  // namespace

void mla_rope_forward(Context& ctx, const MlaRope& m) {
  const int64_t rope = m.k_rope.cols(), width = m.q.cols() / m.heads;
  dispatch_float(m.q.dtype, [&]<class T>() {
    parallel_rows(ctx, m.q.rows(), 4 * (m.heads + 1) * rope, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const T *cos = m.cos.row<T>(t), *sin = m.sin.row<T>(t);
        for (int64_t h = 0; h < m.heads; ++h) {
          T* q = m.q.row<T>(t) + (h + 1) * width - rope;
          rotate(q, q, cos, sin, rope / 2, T(1));
        }
        rotate(m.turned.row<T>(t), m.k_rope.row<T>(t), cos, sin, rope / 2, T(1));
      }
    });
  });
}

void mla_keys_forward(Context& ctx, Tensor k, Tensor k_nope, Tensor k_rope) {
  const int64_t heads = k.dim(1), nope = k_nope.cols(), rope = k_rope.cols();
  dispatch_float(k.dtype, [&]<class T>() {
    parallel_rows(ctx, k.dim(0), heads * (nope + rope), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin * heads; r < end * heads; ++r) {
        std::copy_n(k_nope.row<T>(r), nope, k.row<T>(r));
        std::copy_n(k_rope.row<T>(r / heads), rope, k.row<T>(r) + nope);
      }
    });
  });
}

void mla_heads_backward(Context& ctx, const MlaHeadsGrads& g) {
  const int64_t heads = g.dk.dim(1), nope = g.dk_nope.cols(), rope = g.dk_rope.cols();
  dispatch_float(g.dk.dtype, [&]<class T>() {
    parallel_rows(ctx, g.dk.dim(0), 4 * heads * (nope + rope), [&](int64_t begin, int64_t end) {
      std::vector<T> sum(static_cast<size_t>(rope)), turned(static_cast<size_t>(rope));
      for (int64_t t = begin; t < end; ++t) {
        const T *cos = g.cos.row<T>(t), *sin = g.sin.row<T>(t);
        std::fill(sum.begin(), sum.end(), T(0));
        for (int64_t r = t * heads; r < (t + 1) * heads; ++r) {
          const T *dturned = g.dturned.row<T>(r), *dk = g.dk.row<T>(r);
          T *dq = g.dq.row<T>(t) + r % heads * (nope + rope), *dk_nope = g.dk_nope.row<T>(r);
          rotate(turned.data(), dturned + nope, cos, sin, rope / 2, T(-1));
          for (int64_t i = 0; i < nope; ++i) dq[i] += dturned[i], dk_nope[i] += dk[i];
          for (int64_t i = 0; i < rope; ++i) {
            dq[nope + i] += turned[static_cast<size_t>(i)];
            sum[static_cast<size_t>(i)] += dk[nope + i];
          }
        }
        rotate(sum.data(), sum.data(), cos, sin, rope / 2, T(-1));
        for (int64_t i = 0; i < rope; ++i) g.dk_rope.row<T>(t)[i] += sum[static_cast<size_t>(i)];
      }
    });
  });
}

}  // namespace temper::cpu
