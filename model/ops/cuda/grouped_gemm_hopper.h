// The experts' products for Hopper: 16-bit floats, through the copy engine and wgmma.
#pragma once

#include "core/context.h"
#include "core/tensor.h"
#include "model/ops/grad.h"
#include "model/ops/picked_rows.h"

namespace temper::cuda {

// The functions of grouped_gemm.h. Each returns false, with nothing done, where it cannot run: a
// card that is not of compute capability 9, other numbers than bf16 or f16, rows that are not
// aligned to 16 bytes, or more than 512 groups.
bool grouped_forward_hopper(Context& ctx, const Tensor& y, const PickedRows& x, const Tensor& w,
                            const Tensor& offsets);
template <DType kNarrow>  // where the numbers are of that type
bool grouped_forward_hopper_of(Context& ctx, const Tensor& y, const PickedRows& x, const Tensor& w,
                               const Tensor& offsets);
bool grouped_input_grad_hopper(Context& ctx, const Grad& dx, const PickedRows& dy, const Tensor& w,
                               const Tensor& offsets);
template <DType kNarrow>  // where the numbers are of that type
bool grouped_input_grad_hopper_of(Context& ctx, const Grad& dx, const PickedRows& dy,
                                  const Tensor& w, const Tensor& offsets);
bool grouped_weight_grad_hopper(Context& ctx, const Grad& dw, const PickedRows& dy,
                                const PickedRows& x, const Tensor& offsets);
template <DType kNarrow>  // where the numbers are of that type
bool grouped_weight_grad_hopper_of(Context& ctx, const Grad& dw, const PickedRows& dy,
                                   const PickedRows& x, const Tensor& offsets);

}  // namespace temper::cuda
