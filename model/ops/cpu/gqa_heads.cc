#include "model/ops/cpu/gqa_heads.h"

#include <algorithm>

#include "model/ops/cpu/parallel.h"

namespace temper::cpu {
namespace {

// A head's first and second half turned by the angles, or by the negative ones (direction -1).
template <class T>
void rotate(T* head, const T* cos, const T* sin, int64_t half, T direction) {
  for (int64_t j = 0; j < half; ++j) {
    const T a = head[j], b = head[j + half], s = direction * sin[j];
    head[j] = a * cos[j] - b * s;
    head[j + half] = a * s + b * cos[j];
  }
}

// Calls body(part, column) for q, k and v, whose heads lie in qkv from that column on.
template <class Body>
void for_parts(const Tensor& q, const Tensor& k, const Tensor& v, Body&& body) {
  int64_t column = 0;
  for (const Tensor* part : {&q, &k, &v}) {
    body(*part, column);
    column += part->dim(1) * part->cols();
  }
}

}  // namespace

void gqa_heads_forward(Context& ctx, const GqaHeads& h) {
  const int64_t d = h.q.cols();
  dispatch_float(h.q.dtype, [&]<class T>() {
    const T* bias = h.bias.data != nullptr ? h.bias.get<T>() : nullptr;
    parallel_rows(ctx, h.q.dim(0), 4 * h.qkv.cols(), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        for_parts(h.q, h.k, h.v, [&](const Tensor& part, int64_t column) {
          for (int64_t i = 0; i < part.dim(1); ++i, column += d) {
            T* to = part.row<T>(t * part.dim(1) + i);
            const T* from = h.qkv.row<T>(t) + column;
            for (int64_t j = 0; j < d; ++j) to[j] = from[j] + (bias ? bias[column + j] : T(0));
            if (h.cos.data != nullptr && part.data != h.v.data)
              rotate(to, h.cos.row<T>(t), h.sin.row<T>(t), d / 2, T(1));
          }
        });
      }
    });
  });
}

void gqa_heads_backward(Context& ctx, const GqaHeadsGrads& g) {
  const int64_t d = g.dq.cols(), tokens = g.dq.dim(0), width = g.dqkv.cols();
  dispatch_float(g.dq.dtype, [&]<class T>() {
    parallel_rows(ctx, tokens, 4 * width, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        for_parts(g.dq, g.dk, g.dv, [&](const Tensor& part, int64_t column) {
          for (int64_t i = 0; i < part.dim(1); ++i, column += d) {
            T* to = g.dqkv.row<T>(t) + column;
            std::copy_n(part.row<T>(t * part.dim(1) + i), d, to);
            if (g.cos.data != nullptr && part.data != g.dv.data)
              rotate(to, g.cos.row<T>(t), g.sin.row<T>(t), d / 2, T(-1));
          }
        });
      }
    });
    if (g.dbias.data == nullptr) return;
    T* dbias = g.dbias.template get<T>();
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t j = 0; j < width; ++j) dbias[j] += g.dqkv.row<T>(t)[j];
  });
}

}  // namespace temper::cpu
