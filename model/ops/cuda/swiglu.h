// The gated activation on the GPU. Contracts: model/ops/swiglu.h, which has checked the arguments.
#pragma once

#include "model/ops/swiglu.h"

namespace temper::cuda {

void swiglu_forward(Context& ctx, Tensor y, Tensor gate, Tensor up);
void swiglu_backward(Context& ctx, Tensor dgate, Tensor dup, Tensor dy, Tensor gate, Tensor up);

}  // namespace temper::cuda
