#include "model/ops/router_replay.h"

#include "model/ops/check.h"
#include "model/ops/cpu/router_replay.h"
#include "model/ops/cuda/router_replay.h"

namespace temper {

void router_replay(Context& ctx, const RouterOutputs& out, Tensor forced, Tensor differing,
                   const RouterParams& params) {
  check_i32(forced, "router_replay: forced");
  check_shape(forced, {out.experts.rows(), params.top_k}, "router_replay: forced");
  if (!differing.empty()) check_shape(differing, {forced.rows()}, "router_replay: differing");
  switch (out.scores.device) {
    case Device::cpu:
      return cpu::router_replay(ctx, out, forced, differing, params);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::router_replay(ctx, out, forced, differing, params);
      no_backend();
  }
}

}  // namespace temper
