// Halves of f32 numbers on the CPU. Contracts: model/ops/halves.h, which has checked the arguments.
#pragma once

#include "model/ops/halves.h"

namespace temper::cpu {

void split_halves(Context& ctx, const Tensor& high, const Tensor& low, const Tensor& x);
void join_halves(Context& ctx, const Tensor& x, const Tensor& high, const Tensor& low);

}  // namespace temper::cpu
