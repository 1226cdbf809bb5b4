// Gated feed-forward layers: products together with the gate between them.
#pragma once

#include "core/context.h"
#include "core/tensor.h"
#include "model/ops/grad.h"
#include "model/ops/picked_rows.h"
#include "model/ops/swiglu.h"

namespace temper {

// y = silu(x g_e^T) * (x u_e^T) for the rows of each expert e, rounded as grouped_linear_forward
// and swiglu_forward one after the other round. `both`, unless it is empty, gets what the two
// products give, for backward.
// Shapes: y [R, I], both [R, 2I], x [R, K], w [E, 2I, K] with g_e above u_e, offsets [E+1] i32
// ascending, offsets[E] = R. Types: f32, f64 or, on a GPU, 16 bits, all alike.
// Aliasing: y and both overlap nothing.
void grouped_gated_forward(Context& ctx, Tensor y, Tensor both, const PickedRows& x, Tensor w,
                           Tensor offsets);

// The way back from o = z down_e^T, where z_r = weight_r * silu(gate_r) * up_r and a row's weight
// is that of its choice (swiglu.h: RowWeights): dz = dy down_e, then as weighted_swiglu_backward.
// Shapes: dy [R, d], gate_up and dgate_up [R, 2I], z [R, I], down [E, d, I].
// Writes: dgate_up, z. Adds into: dweights [T, K].
struct GatedLayer {
  Tensor gate_up, down, offsets;
  RowWeights rows;
};
struct GatedGrads {
  Tensor dgate_up, z;
  Grad dweights;
};
void grouped_gated_backward(Context& ctx, const GatedGrads& grads, const PickedRows& dy,
                            const GatedLayer& layer);

// Both for one layer, whose rows all count once: w [2I, K], down [d, I]; grads.dweights is empty.
void gated_forward(Context& ctx, Tensor y, Tensor both, Tensor x, Tensor w);
void gated_backward(Context& ctx, const GatedGrads& grads, Tensor dy, Tensor gate_up, Tensor down);

}  // namespace temper
