// Expert permutation on the GPU. Contracts: model/ops/permute.h, which has checked the arguments.
#pragma once

#include "model/ops/permute.h"

namespace temper::cuda {

void plan_experts(Context& ctx, const ExpertPlan& plan, Tensor experts);
void count_rows(Context& ctx, Tensor counts, std::span<const Tensor> offsets);
void gather_rows_forward(Context& ctx, Tensor y, Tensor x, Tensor index);
void spread_rows(Context& ctx, Tensor y, Tensor x, Tensor row_of);
void gather_rows_backward(Context& ctx, const Grad& dx, Tensor dy, Tensor row_of);
void combine_forward(Context& ctx, Tensor y, const Combined& rows);
void combine_norm_forward(Context& ctx, Tensor y, const Combined& rows, const NormAfter& norm);
// Whether it can: rows aligned to 16 bytes, of up to 8192 numbers.
bool combine_norms(const Tensor& y, const Combined& rows, const NormAfter& norm);

}  // namespace temper::cuda
