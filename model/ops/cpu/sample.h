// Drawing tokens on the CPU. Contracts: model/ops/sample.h, which has checked the arguments.
#pragma once

#include "model/ops/sample.h"

namespace temper::cpu {

void sample(Context& ctx, const SampleOutputs& out, Tensor logits, const SampleDraws& draws);
void follow_draws(Tensor ids, Tensor tokens);

}  // namespace temper::cpu
