// Plain arithmetic on the CPU. Contracts: model/ops/elementwise.h, which has checked the arguments.
#pragma once

#include "model/ops/elementwise.h"

namespace temper::cpu {

void fill_zero(Context& ctx, Tensor y);
void copy(Context& ctx, Tensor y, Tensor x);
void add(Context& ctx, Tensor out, Tensor a, Tensor b);
void scale(Context& ctx, Tensor y, double factor);
double sum_of_squares(Context& ctx, Tensor x);

}  // namespace temper::cpu
