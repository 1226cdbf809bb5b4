// The CPU side of model/ops/router_replay.h, which has checked the arguments.
#pragma once

#include "model/ops/router.h"

namespace temper::cpu {

void router_replay(Context& ctx, const RouterOutputs& out, Tensor forced, Tensor differing,
                   const RouterParams& params);

}  // namespace temper::cpu
