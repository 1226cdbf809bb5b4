#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/router_replay.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 128;

struct Scaling {
  int64_t top_k;
  bool norm;
  float factor;
};

// One thread a token. An expert that there is not stops the kernel.
__global__ void replay_kernel(Rows<int32_t> experts, Rows<float> weights, Rows<float> scores,
                              Rows<int32_t> forced, int32_t* differing, Scaling scaling) {
  const int64_t t = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (t >= forced.rows || forced.row(t)[0] < 0) return;
  const int32_t* wanted = forced.row(t);
  int32_t* chosen = experts.row(t);
  float* weight = weights.row(t);
  const float* score = scores.row(t);
  int32_t found = 0;
  float sum = 1e-20F;  // as the gate's own sum begins
  for (int64_t k = 0; k < scaling.top_k; ++k) {
    if (wanted[k] < 0 || wanted[k] >= scores.cols) __trap();
    bool known = false;
    for (int64_t i = 0; i < scaling.top_k; ++i) known = known || chosen[i] == wanted[k];
    found += known ? 0 : 1;
    weight[k] = score[wanted[k]];
    sum += weight[k];
  }
  const float factor = scaling.norm ? scaling.factor / sum : scaling.factor;
  for (int64_t k = 0; k < scaling.top_k; ++k) weight[k] *= factor;
  for (int64_t k = 0; k < scaling.top_k; ++k) chosen[k] = wanted[k];
  if (differing != nullptr) differing[t] += found;
}

}  // namespace

void router_replay(Context& ctx, const RouterOutputs& out, Tensor forced, Tensor differing,
                   const RouterParams& params) {
  if (forced.empty()) return;
  const Scaling scaling{params.top_k, params.norm_topk_prob,
                        static_cast<float>(params.routed_scaling_factor)};
  replay_kernel<<<blocks_for(forced.rows(), kThreads), kThreads, 0, stream_of(ctx)>>>(
      rows_of<int32_t>(out.experts), rows_of<float>(out.weights), rows_of<float>(out.scores),
      rows_of<int32_t>(forced), data_of<int32_t>(differing), scaling);
  check_launch();
}

}  // namespace temper::cuda
