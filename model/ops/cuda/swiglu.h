// The gated activation on the GPU. Contracts: model/ops/swiglu.h, which has checked the arguments.
#pragma once

#include "model/ops/swiglu.h"

namespace temper::cuda {

void swiglu_forward(Context& ctx, Tensor y, Tensor gate, Tensor up);
void swiglu_backward(Context& ctx, const SwigluGrads& grads, Tensor y, Tensor dy, Tensor gate,
                     Tensor up);
void weighted_swiglu_backward(Context& ctx, const SwigluGrads& grads, const Grad& dweights,
                              Tensor z, Tensor dz, Tensor gate, Tensor up, const RowWeights& rows);

}  // namespace temper::cuda
