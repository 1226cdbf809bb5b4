// Sums over rows in a fixed order: the gradients of norms' weights and of biases.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper::cuda {

// to_j += sum over rows i of a_ij * (b_ij * s_i), or of a_ij alone where `b` is empty.
// Shapes: to [n] f32; a, b [rows, n] f32 or bf16; s [rows] f32 (with b).
void add_column_sums(Context& ctx, Tensor to, Tensor a, Tensor b = {}, Tensor s = {});

}  // namespace temper::cuda
