// Products of ragged groups of rows with a weight matrix each: the experts.
#pragma once

#include "core/context.h"
#include "core/tensor.h"
#include "model/ops/grad.h"
#include "model/ops/picked_rows.h"

namespace temper::cuda {

// y_r = x_r w_e^T for the rows r of expert e.
// Shapes: y [R, N], x [R, K], w [E, N, K], offsets [E+1] i32 on the device. Nothing is read back.
void grouped_forward(Context& ctx, Tensor y, const PickedRows& x, Tensor w, Tensor offsets);
// dx_r += dy_r w_e.  Shapes: dx [R, K], dy [R, N].
void grouped_input_grad(Context& ctx, const Grad& dx, const PickedRows& dy, Tensor w,
                        Tensor offsets);
// dw_e += dy_e^T x_e.  Shapes: dw [E, N, K] f32.
void grouped_weight_grad(Context& ctx, const Grad& dw, const PickedRows& dy, const PickedRows& x,
                         Tensor offsets);

// Whether there are so few rows a group that other kernels take them, which know no index.
bool few_rows(const PickedRows& rows, int64_t groups);
}  // namespace temper::cuda
