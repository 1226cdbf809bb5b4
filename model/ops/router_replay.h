// Sends tokens to given experts instead of those that the gate would choose.
#pragma once

#include "model/ops/router.h"

namespace temper {

// Behind router_forward(): for every row t with forced[t][0] >= 0, experts = forced and
// weights = the scores of those, normalised and scaled as router_forward() does; the gradient
// flows through the scores as ever. differing[t] += how many of them the gate had not chosen.
// Source: rollout routing replay (arXiv 2510.11370) section 4; DeepSeek-V3.2 (2512.02556) 3.1.
// Shapes: forced [T, K] i32, ascending in a row; differing [T] i32 or empty.
// Types: as router_forward's.
// Throws ContractError for an expert that there is not.
void router_replay(Context& ctx, const RouterOutputs& out, Tensor forced, Tensor differing,
                   const RouterParams& params);

}  // namespace temper
