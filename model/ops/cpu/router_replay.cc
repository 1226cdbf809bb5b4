#include "model/ops/cpu/router_replay.h"

#include <algorithm>

#include "model/ops/cpu/parallel.h"

namespace temper::cpu {
namespace {

// One token: the weights of `forced`, which take the place of `experts`; returns how many are new.
template <class T>
int32_t replay_row(const int32_t* forced, const T* scores, int64_t n, int32_t* experts, T* weights,
                   const RouterParams& params) {
  const int64_t top_k = params.top_k;
  int32_t differing = 0;
  T sum = static_cast<T>(1e-20);  // as the gate's own sum begins
  for (int64_t k = 0; k < top_k; ++k) {
    require(forced[k] >= 0 && forced[k] < n, "router_replay: an expert that there is not");
    differing += std::find(experts, experts + top_k, forced[k]) == experts + top_k;
    weights[k] = scores[forced[k]];
    sum += weights[k];
  }
  std::copy(forced, forced + top_k, experts);
  const T factor =
      static_cast<T>(params.routed_scaling_factor) / (params.norm_topk_prob ? sum : T(1));
  for (int64_t k = 0; k < top_k; ++k) weights[k] *= factor;
  return differing;
}

}  // namespace

void router_replay(Context& ctx, const RouterOutputs& out, Tensor forced, Tensor differing,
                   const RouterParams& params) {
  const int64_t n = out.scores.cols();
  int32_t* counts = differing.empty() ? nullptr : differing.get<int32_t>();
  dispatch_float(out.scores.dtype, [&]<class T>() {
    parallel_rows(ctx, forced.rows(), 10 * params.top_k, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int32_t* row = forced.row<int32_t>(t);
        if (row[0] < 0) continue;
        const int32_t found = replay_row(row, out.scores.row<T>(t), n, out.experts.row<int32_t>(t),
                                         out.weights.row<T>(t), params);
        if (counts != nullptr) counts[t] += found;
      }
    });
  });
}

}  // namespace temper::cpu
