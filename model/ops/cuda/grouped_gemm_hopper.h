// The experts' products for Hopper: bf16, through the copy engine and wgmma.
#pragma once

#include "core/context.h"
#include "core/tensor.h"
#include "model/ops/grad.h"
#include "model/ops/picked_rows.h"

namespace temper::cuda {

// The functions of grouped_gemm.h. Each returns false, with nothing done, where it cannot run: a
// card that is not of compute capability 9, numbers that are not bf16, rows that are not aligned
// to 16 bytes, or more than 512 groups.
bool grouped_forward_hopper(Context& ctx, const Tensor& y, const PickedRows& x, const Tensor& w,
                            const Tensor& offsets);
bool grouped_input_grad_hopper(Context& ctx, const Grad& dx, const PickedRows& dy, const Tensor& w,
                               const Tensor& offsets);
bool grouped_weight_grad_hopper(Context& ctx, const Grad& dw, const PickedRows& dy,
                                const PickedRows& x, const Tensor& offsets);

}  // namespace temper::cuda
