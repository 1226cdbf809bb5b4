// Sums over rows in a fixed order: the gradients of norms' weights and of biases.
#pragma once

#include "core/context.h"
#include "model/ops/grad.h"

namespace temper::cuda {

// to_j += sum over rows i of a_ij.  Shapes: to [n] f32; a [rows, n] f32, bf16 or f16, rows > 0.
void column_sums(Context& ctx, const Grad& to, Tensor a);

// The same over few rows, for kernels that leave a part of the sum each.
// Shapes: to [n] f32, parts [count, n] f32.
void sum_parts(Context& ctx, const Grad& to, Tensor parts);

}  // namespace temper::cuda
