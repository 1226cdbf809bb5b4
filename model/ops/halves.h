// f32 numbers in two halves of 16 bits: the weights that a model computes with, and what an update
// needs beside them.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper {

// high = the nearest bf16 or f16 of x; low = the rest (core/float_halves.h), so that join_halves
// gives x: with bf16 bit for bit, a NaN as some NaN; with f16 so from 2^-16 to 65504, below to the
// nearest multiple of 2^-39.
// Shapes: x, high [n], low [n, 2]. Types: high bf16 or f16, x f32, low two bytes each. Aliasing:
// none.
void split_halves(Context& ctx, Tensor high, Tensor low, Tensor x);
void join_halves(Context& ctx, Tensor x, Tensor high, Tensor low);

}  // namespace temper
