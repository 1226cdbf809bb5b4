#include "model/ops/cpu/log_prob.h"

#include "model/ops/cpu/parallel.h"
#include "model/ops/cpu/simd.h"

namespace temper::cpu {
namespace {

// lse of one row of z = logits * inverse, and its entropy if wanted (else 0).
struct RowStats {
  double lse = 0.0, entropy = 0.0;
};
template <class T>
RowStats row_stats(const T* logits, int64_t n, T inverse, bool want_entropy) {
  const T top = row_max(logits, n) * inverse;
  const double sum =
      lane_sum<double>(n, [&](int64_t v) { return fast_exp(logits[v] * inverse - top); });
  RowStats stats;
  stats.lse = static_cast<double>(top) + std::log(sum);
  if (!want_entropy) return stats;
  // sum p (z - top): the terms are small where p is large, so nothing cancels.
  const double mean = lane_sum<double>(n, [&](int64_t v) {
    const T below = logits[v] * inverse - top;
    const T p = fast_exp(below);
    return p > T(0) ? p * below : T(0);  // a logit of -inf adds 0
  });
  stats.entropy = std::log(sum) - mean / sum;
  return stats;
}

template <class T>
void forward(Context& ctx, const LogProbOutputs& out, const Tensor& logits, const int32_t* target,
             double temperature) {
  const int64_t n = logits.cols();
  const T inverse = static_cast<T>(1.0 / temperature);
  T *logprob = out.logprob.get<T>(), *lse = out.lse.get<T>();
  T* entropy = out.entropy.data ? out.entropy.get<T>() : nullptr;
  parallel_rows(ctx, logits.rows(), 8 * n, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const T* row = logits.row<T>(t);
      const RowStats stats = row_stats(row, n, inverse, entropy != nullptr);
      lse[t] = static_cast<T>(stats.lse);
      if (entropy) entropy[t] = static_cast<T>(stats.entropy);
      logprob[t] = T(0);
      if (target[t] < 0) continue;
      require(target[t] < n, "log_prob: a target outside the vocabulary");
      logprob[t] = static_cast<T>(static_cast<double>(row[target[t]] * inverse) - stats.lse);
    }
  });
}

// One row: g (onehot - p) - e p (log p + entropy), over the temperature.
template <class T>
void row_backward(T* row, int64_t n, T inverse, T lse, T g, T e, T entropy) {
  if (g == T(0) && e == T(0)) return std::fill(row, row + n, T(0));
  if (e == T(0)) {
    const T factor = -g * inverse;
#pragma omp simd
    for (int64_t v = 0; v < n; ++v) row[v] = factor * fast_exp(row[v] * inverse - lse);
    return;
  }
#pragma omp simd
  for (int64_t v = 0; v < n; ++v) {
    const T log_p = row[v] * inverse - lse;
    const T p = fast_exp(log_p);
    const T slope = g + e * (log_p + entropy);
    row[v] = p > T(0) ? -p * slope * inverse : T(0);
  }
}

}  // namespace

void log_prob_forward(Context& ctx, const LogProbOutputs& out, Tensor logits, Tensor targets,
                      double temperature) {
  const int32_t* target = targets.get<int32_t>();
  dispatch_float(logits.dtype,
                 [&]<class T>() { forward<T>(ctx, out, logits, target, temperature); });
}

void log_prob_backward(Context& ctx, Tensor logits, Tensor dlogprob, Tensor dentropy,
                       const LogProbOutputs& saved, Tensor targets, double temperature) {
  const int32_t* target = targets.get<int32_t>();
  dispatch_float(logits.dtype, [&]<class T>() {
    const T inverse = static_cast<T>(1.0 / temperature);
    parallel_rows(ctx, logits.rows(), 8 * logits.cols(), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const T g = target[t] < 0 ? T(0) : dlogprob.get<T>()[t];
        const T e = dentropy.data ? dentropy.get<T>()[t] : T(0);
        const T entropy = dentropy.data ? saved.entropy.get<T>()[t] : T(0);
        T* row = logits.row<T>(t);
        row_backward(row, logits.cols(), inverse, saved.lse.get<T>()[t], g, e, entropy);
        if (target[t] >= 0) row[target[t]] += g * inverse;
      }
    });
  });
}

}  // namespace temper::cpu
