#include "model/ops/cpu/router.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "model/ops/cpu/parallel.h"
#include "model/ops/cpu/simd.h"

namespace temper::cpu {
namespace {

constexpr double kSmallest = 1e-20;  // keeps a sum of vanished scores from dividing by zero

// Marks the `count` largest of value[0..n) in `taken`; ties go to the lower index. A NaN counts as
// smaller than what stands before it, so exactly `count` are marked whatever the values.
template <class T>
void take_largest(const T* value, int64_t n, int64_t count, uint8_t* taken) {
  std::fill(taken, taken + n, uint8_t{0});
  for (int64_t k = 0; k < count; ++k) {
    int64_t best = -1;
    for (int64_t i = 0; i < n; ++i)
      if (!taken[i] && (best < 0 || value[i] > value[best])) best = i;
    taken[best] = 1;
  }
}

// V3: the sum of the group's two best; V2: its best.
template <class T>
T group_score(const T* value, int64_t n, bool top_two) {
  constexpr T kNone = -std::numeric_limits<T>::infinity();
  T first = kNone, second = kNone;
  for (int64_t i = 0; i < n; ++i) {
    if (value[i] > first) {
      second = first;
      first = value[i];
    } else if (value[i] > second) {
      second = value[i];
    }
  }
  return top_two && n > 1 ? first + second : first;
}

template <class T>
void score_row(const T* logits, int64_t n, ScoringFunc scoring, T* scores) {
  if (scoring == ScoringFunc::sigmoid) {
    for (int64_t e = 0; e < n; ++e) scores[e] = T(1) / (T(1) + std::exp(-logits[e]));
    return;
  }
  const T top = row_max(logits, n);
  T sum = 0;
  for (int64_t e = 0; e < n; ++e) sum += scores[e] = std::exp(logits[e] - top);
  for (int64_t e = 0; e < n; ++e) scores[e] /= sum;
}

// Closes all but the best groups of `choice` by -inf. `taken` has a place for each expert.
template <class T>
void close_groups(T* choice, int64_t n, const RouterParams& params, T* group, uint8_t* taken) {
  const int64_t size = n / params.n_group;
  for (int64_t g = 0; g < params.n_group; ++g)
    group[g] = group_score(choice + g * size, size, params.has_correction_bias);
  take_largest(group, params.n_group, params.topk_group, taken);
  for (int64_t e = 0; e < n; ++e)
    if (!taken[e / size]) choice[e] = -std::numeric_limits<T>::infinity();
}

// ds -> dlogits of one row, added.
template <class T>
void scores_backward(const T* scores, const T* dscores, int64_t n, ScoringFunc scoring,
                     T* dlogits) {
  if (scoring == ScoringFunc::sigmoid) {
    for (int64_t e = 0; e < n; ++e) dlogits[e] += dscores[e] * scores[e] * (T(1) - scores[e]);
    return;
  }
  T dot = 0;
  for (int64_t e = 0; e < n; ++e) dot += dscores[e] * scores[e];
  for (int64_t e = 0; e < n; ++e) dlogits[e] += scores[e] * (dscores[e] - dot);
}

template <class T>
void weigh(const T* scores, const uint8_t* taken, int64_t n, const RouterParams& params,
           int32_t* experts, T* weights) {
  T sum = static_cast<T>(kSmallest);
  for (int64_t e = 0, k = 0; e < n; ++e) {
    if (!taken[e]) continue;
    experts[k] = static_cast<int32_t>(e);
    weights[k++] = scores[e];
    sum += scores[e];
  }
  const T factor =
      static_cast<T>(params.routed_scaling_factor) / (params.norm_topk_prob ? sum : T(1));
  for (int64_t k = 0; k < params.top_k; ++k) weights[k] *= factor;
}

template <class T>
void forward(Context& ctx, const RouterOutputs& out, const Tensor& logits, const float* bias,
             const RouterParams& params) {
  const int64_t n = logits.cols(), tokens = logits.rows();
  ArenaScope scope(ctx.scratch);
  const Tensor work = ctx.scratch.tensor("router.choice", dtype_of<T>(), {tokens, 2 * n});
  const Tensor flags = ctx.scratch.tensor("router.taken", DType::u8, {tokens, n});
  parallel_rows(ctx, tokens, 20 * n, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      T *scores = out.scores.row<T>(t), *choice = work.row<T>(t);
      uint8_t* taken = flags.row<uint8_t>(t);
      score_row(logits.row<T>(t), n, params.scoring_func, scores);
      for (int64_t e = 0; e < n; ++e)
        choice[e] = scores[e] + (bias ? static_cast<T>(bias[e]) : T(0));
      if (params.group_limited && params.topk_group < params.n_group)
        close_groups(choice, n, params, choice + n, taken);
      take_largest(choice, n, params.top_k, taken);
      weigh(scores, taken, n, params, out.experts.row<int32_t>(t), out.weights.row<T>(t));
    }
  });
}

template <class T>
void backward(Context& ctx, const Tensor& dlogits, const Tensor& dweights,
              const RouterOutputs& saved, const RouterParams& params) {
  const int64_t n = dlogits.cols(), tokens = dlogits.rows();
  const T factor = static_cast<T>(params.routed_scaling_factor);
  ArenaScope scope(ctx.scratch);
  const Tensor work = ctx.scratch.tensor("router.dscores", dtype_of<T>(), {tokens, n});
  parallel_rows(ctx, tokens, 8 * n, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const T *scores = saved.scores.row<T>(t), *dw = dweights.row<T>(t);
      const int32_t* experts = saved.experts.row<int32_t>(t);
      T* dscores = work.row<T>(t);
      T sum = static_cast<T>(kSmallest), dot = 0;
      for (int64_t k = 0; k < params.top_k; ++k) {
        sum += scores[experts[k]];
        dot += dw[k] * scores[experts[k]];
      }
      std::fill(dscores, dscores + n, T(0));
      for (int64_t k = 0; k < params.top_k; ++k)
        dscores[experts[k]] =
            params.norm_topk_prob ? factor / sum * (dw[k] - dot / sum) : factor * dw[k];
      scores_backward(scores, dscores, n, params.scoring_func, dlogits.row<T>(t));
    }
  });
}

// f of one sequence (rows [begin, end) of scores) into f[0..n).
template <class T>
void load_fractions(const Tensor& scores, int64_t begin, int64_t end, const RouterParams& params,
                    uint8_t* taken, double* f) {
  const int64_t n = scores.cols();
  std::fill(f, f + n, 0.0);
  for (int64_t t = begin; t < end; ++t) {
    take_largest(scores.row<T>(t), n, params.top_k, taken);
    for (int64_t e = 0; e < n; ++e) f[e] += taken[e];
  }
  const double unit = static_cast<double>(n) / static_cast<double>(params.top_k * (end - begin));
  for (int64_t e = 0; e < n; ++e) f[e] *= unit;
}

// Calls body(begin, end, f) for each sequence that is not empty.
template <class T, class Body>
void for_sequences(Context& ctx, const Tensor& scores, std::span<const int32_t> cu_seqlens,
                   const RouterParams& params, Body&& body) {
  const int64_t n = scores.cols();
  ArenaScope scope(ctx.scratch);
  double* f = ctx.scratch.tensor("balance.f", DType::f64, {n}).get<double>();
  uint8_t* taken = ctx.scratch.tensor("balance.taken", DType::u8, {n}).get<uint8_t>();
  for (size_t s = 0; s + 1 < cu_seqlens.size(); ++s) {
    const int64_t begin = cu_seqlens[s], end = cu_seqlens[s + 1];
    if (begin == end) continue;
    load_fractions<T>(scores, begin, end, params, taken, f);
    body(begin, end, f);
  }
}

// Sum of a row's scores, and the same weighted by f.
template <class T>
struct RowSums {
  double plain = kSmallest, weighted = 0.0;
  RowSums(const T* scores, const double* f, int64_t n) {
    for (int64_t e = 0; e < n; ++e) {
      plain += static_cast<double>(scores[e]);
      weighted += f[e] * static_cast<double>(scores[e]);
    }
  }
};

// The loss into balance.sum, its gradient into dlogits where that is not empty.
template <class T>
void balance_loss(Context& ctx, const Tensor& dlogits, const Tensor& scores,
                  const RouterParams& params, const BalanceLoss& balance) {
  const int64_t n = scores.cols();
  ArenaScope scope(ctx.scratch);
  T* dscores = ctx.scratch.tensor("balance.dscores", dtype_of<T>(), {n}).template get<T>();
  double loss = 0.0;
  for_sequences<T>(ctx, scores, balance.sequences.cu_seqlens, params,
                   [&](int64_t begin, int64_t end, double* f) {
                     const auto length = static_cast<double>(end - begin);
                     const double unit = balance.coefficient / length;
                     double sum = 0.0;
                     for (int64_t t = begin; t < end; ++t) {
                       const T* row = scores.row<T>(t);
                       const RowSums<T> sums(row, f, n);
                       const double term = sums.weighted / sums.plain;
                       sum += term;
                       if (!dlogits.data) continue;
                       for (int64_t e = 0; e < n; ++e)
                         dscores[e] = static_cast<T>(unit * (f[e] - term) / sums.plain);
                       scores_backward(row, dscores, n, params.scoring_func, dlogits.row<T>(t));
                     }
                     loss += sum / length;
                   });
  if (balance.sum.data) *balance.sum.get<double>() += loss;
}

}  // namespace

void router_forward(Context& ctx, const RouterOutputs& out, Tensor logits, Tensor bias,
                    const RouterParams& params) {
  const float* b = bias.data ? bias.get<float>() : nullptr;
  dispatch_float(logits.dtype, [&]<class T>() { forward<T>(ctx, out, logits, b, params); });
}

void router_bias_step(Context&, std::span<const Tensor> biases, Tensor counts, double speed) {
  const int64_t experts = counts.cols();
  for (size_t l = 0; l < biases.size(); ++l) {
    if (biases[l].empty()) continue;
    const int32_t* load = counts.row<int32_t>(static_cast<int64_t>(l));
    const int64_t sum = std::accumulate(load, load + experts, int64_t{0});
    for (int64_t e = 0; e < experts; ++e) {
      // The sign of mean - load, without rounding.
      const int64_t gap = sum - load[e] * experts;
      const double sign = gap > 0 ? 1.0 : gap < 0 ? -1.0 : 0.0;
      biases[l].get<float>()[e] += static_cast<float>(speed * sign);
    }
  }
}

void router_backward(Context& ctx, Tensor dlogits, Tensor dweights, const RouterOutputs& saved,
                     const RouterParams& params, const BalanceLoss& balance) {
  dispatch_float(saved.scores.dtype, [&]<class T>() {
    if (dlogits.data && dweights.data) backward<T>(ctx, dlogits, dweights, saved, params);
    if (balance.wanted()) balance_loss<T>(ctx, dlogits, saved.scores, params, balance);
  });
}

}  // namespace temper::cpu
