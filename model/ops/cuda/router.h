// The gate of DeepSeekMoE on the GPU. Contracts: model/ops/router.h, which has checked the
// arguments.
#pragma once

#include "model/ops/router.h"

namespace temper::cuda {

void router_forward(Context& ctx, const RouterOutputs& out, Tensor logits, Tensor bias,
                    const RouterParams& params);
void router_backward(Context& ctx, const Grad& dlogits, Tensor dweights, const RouterOutputs& saved,
                     const RouterParams& params);
void router_bias_step(Context& ctx, Tensor bias, Tensor counts, double speed);
void balance_loss_forward(Context& ctx, Tensor sum, Tensor scores, const Sequences& sequences,
                          const RouterParams& params);
void balance_loss_backward(Context& ctx, Tensor dlogits, Tensor scores, const Sequences& sequences,
                           double coefficient, const RouterParams& params);

}  // namespace temper::cuda
