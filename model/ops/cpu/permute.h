// Expert permutation on the CPU. Contracts: model/ops/permute.h, which has checked the arguments.
#pragma once

#include "model/ops/permute.h"

namespace temper::cpu {

void plan_experts(Context& ctx, const ExpertPlan& plan, Tensor experts);
void count_rows(Context& ctx, Tensor counts, std::span<const Tensor> offsets);
void gather_rows_forward(Context& ctx, Tensor y, Tensor x, Tensor index);
void spread_rows(Context& ctx, Tensor y, Tensor x, Tensor row_of);
void gather_rows_backward(Context& ctx, Tensor dx, Tensor dy, Tensor row_of);
void combine_forward(Context& ctx, Tensor y, const Combined& rows);

}  // namespace temper::cpu
