// Gated layers' products for Hopper with the gate in them (model/ops/gated_linear.h).
#pragma once

#include "core/context.h"
#include "model/ops/gated_linear.h"

namespace temper::cuda {

// Each returns false, with nothing done, where the products of grouped_gemm_hopper.h cannot run,
// where rows are few, or where I is no multiple of 128 (forward) or 8 (backward). Without offsets
// and choices: the one layer [1, ...] of all rows.
bool grouped_gated_hopper(Context& ctx, const Tensor& y, const Tensor& both, const PickedRows& x,
                          const Tensor& w, const Tensor& offsets);
template <DType kNarrow>  // where the numbers are of that type
bool grouped_gated_hopper_of(Context& ctx, const Tensor& y, const Tensor& both, const PickedRows& x,
                             const Tensor& w, const Tensor& offsets);
bool grouped_gated_backward_hopper(Context& ctx, const GatedGrads& grads, const PickedRows& dy,
                                   const GatedLayer& layer);
template <DType kNarrow>  // where the numbers are of that type
bool grouped_gated_backward_hopper_of(Context& ctx, const GatedGrads& grads, const PickedRows& dy,
                                      const GatedLayer& layer);

}  // namespace temper::cuda
