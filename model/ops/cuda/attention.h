// Causal attention on the GPU. Contracts: model/ops/attention.h, which has checked the arguments.
#pragma once

#include "model/ops/attention.h"

namespace temper::cuda {

void attention_forward(Context& ctx, Tensor o, Tensor lse, Tensor q, Tensor k, Tensor v,
                       const AttentionShape& shape);
void attention_backward(Context& ctx, const AttentionGrads& grads, Tensor d_o,
                        const AttentionSaved& saved, const AttentionShape& shape);

}  // namespace temper::cuda
