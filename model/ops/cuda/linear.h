// Matrix products on the GPU. Contracts: model/ops/linear.h, which has checked the arguments.
#pragma once

#include "model/ops/linear.h"

namespace temper::cuda {

void linear_forward(Context& ctx, Tensor y, Tensor x, Tensor w, Tensor bias);
void linear_add_forward(Context& ctx, Tensor y, Tensor x, Tensor w, Tensor bias);
void linear_backward(Context& ctx, const LinearGrads& grads, Tensor dy, Tensor x, Tensor w);
void grouped_linear_forward(Context& ctx, Tensor y, const PickedRows& x, Tensor w, Tensor offsets);
void grouped_linear_backward(Context& ctx, const LinearGrads& grads, const PickedRows& dy,
                             const PickedRows& x, Tensor w, Tensor offsets);
void head_linear_forward(Context& ctx, Tensor y, Tensor x, Tensor w);
void head_linear_transposed_forward(Context& ctx, Tensor y, Tensor x, Tensor w);

}  // namespace temper::cuda
