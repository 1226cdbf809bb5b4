// The gate of DeepSeekMoE on the GPU. Contracts: model/ops/router.h, which has checked the
// arguments.
#pragma once

#include "model/ops/router.h"

namespace temper::cuda {

void router_forward(Context& ctx, const RouterOutputs& out, Tensor logits, Tensor bias,
                    const RouterParams& params);
void router_backward(Context& ctx, const Grad& dlogits, Tensor dweights, const RouterOutputs& saved,
                     const RouterParams& params, const BalanceLoss& balance);
void router_bias_step(Context& ctx, std::span<const Tensor> biases, Tensor counts, double speed);

}  // namespace temper::cuda
