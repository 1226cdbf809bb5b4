// f32 numbers in two halves of 16 bits: the weights that a model computes with, and what an update
// needs beside them.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper {

// high = the nearest bf16 of x, ties away from zero; low = the rest (core/float_halves.h:
// split_float), so that join_halves gives x bit for bit, a NaN as some NaN.
// Shapes: x, high [n], low [n, 2]. Types: high bf16, x f32, low two bytes each. Aliasing: none.
void split_halves(Context& ctx, Tensor high, Tensor low, Tensor x);
void join_halves(Context& ctx, Tensor x, Tensor high, Tensor low);

}  // namespace temper
