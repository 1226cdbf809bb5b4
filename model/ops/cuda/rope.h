// Rotary position embedding on the GPU. Contracts: model/ops/rope.h, which has checked the
// arguments.
#pragma once

#include "model/ops/rope.h"

namespace temper::cuda {

void rope_tables(Context& ctx, Tensor cos, Tensor sin, Tensor positions,
                 const RopeFrequencies& frequencies);
void rope_forward(Context& ctx, Tensor x, Tensor cos, Tensor sin, RopeStyle style);
void rope_backward(Context& ctx, Tensor dx, Tensor cos, Tensor sin, RopeStyle style);

}  // namespace temper::cuda
