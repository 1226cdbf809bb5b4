// The softmax of one row of scores, as both attentions take it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "model/ops/cpu/simd.h"

namespace temper::cpu {

// scores_u -> exp(scale * (scores_u - top)) for u < n, and 0 for n <= u < padded; n > 0, scale > 0.
template <class T>
struct SoftmaxRow {
  T top = 0;  // the largest score, before the scale
  T sum = 0;  // of what the scores became

  SoftmaxRow(T* scores, int64_t n, int64_t padded, T scale) : top(row_max(scores, n)) {
    const T largest = top;
#pragma omp simd
    for (int64_t u = 0; u < n; ++u) scores[u] = fast_exp(scale * (scores[u] - largest));
    sum = lane_sum<T>(n, [scores](int64_t u) { return scores[u]; });
    std::fill(scores + n, scores + padded, T(0));
  }
};

}  // namespace temper::cpu
