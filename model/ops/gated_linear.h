// The first half of a gated feed-forward layer where nothing is kept for backward: both products
// and the gate at once.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper {

// y = silu(x g_e^T) * (x u_e^T) for the rows of each expert e, rounded as grouped_linear_forward
// and swiglu_forward one after the other round.
// Shapes: y [R, I], x [R, K], w [E, 2I, K] with g_e above u_e, offsets [E+1] i32 ascending,
// offsets[E] = R. Types: f32, f64 or bf16, all alike. Aliasing: y overlaps nothing.
void grouped_gated_forward(Context& ctx, Tensor y, Tensor x, Tensor w, Tensor offsets);

}  // namespace temper
