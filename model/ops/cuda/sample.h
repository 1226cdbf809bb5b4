// Drawing tokens on the GPU. Contracts: model/ops/sample.h, which has checked the arguments.
#pragma once

#include "model/ops/sample.h"

namespace temper::cuda {

void sample(Context& ctx, const SampleOutputs& out, Tensor logits, const SampleDraws& draws);
void follow_draws(Context& ctx, Tensor ids, Tensor tokens);

}  // namespace temper::cuda
