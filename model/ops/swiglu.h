// The gated activation of the feed-forward layers.
#pragma once

#include "core/context.h"
#include "core/tensor.h"
#include "model/ops/grad.h"

namespace temper {

// y = silu(gate) * up,  silu(g) = g * sigmoid(g).  Source: Shazeer 2020.
// Shapes: all [T, I]. Types: f32 or f64; on the GPU f32, bf16 or f16; all alike.
void swiglu_forward(Context& ctx, Tensor y, Tensor gate, Tensor up);

// dup = dy * silu(gate);  dgate = dy * up * sigmoid(gate) * (1 + gate * (1 - sigmoid(gate))).
// Writes y again, unless it is empty: backward needs it and it is cheaper to make than to keep.
// Adds into: dgate, dup.
struct SwigluGrads {
  Grad dgate, dup;
};
void swiglu_backward(Context& ctx, const SwigluGrads& grads, Tensor y, Tensor dy, Tensor gate,
                     Tensor up);

// The same for rows that count with a weight each, z_r = weight_r * y_r: from dz, and with z made
// again. Row row_of[t, k] has the weight weights[t, k], whose gradient is dz_r . y_r.
// Shapes: z, dz, gate, up [T*K, I]; weights, dweights, row_of [T, K].
// Types: weights may be of the wider dtype (core/device.h: stat_dtype).
// Adds into: dgate, dup, dweights.
struct RowWeights {
  Tensor weights, row_of;
};
void weighted_swiglu_backward(Context& ctx, const SwigluGrads& grads, const Grad& dweights,
                              Tensor z, Tensor dz, Tensor gate, Tensor up, const RowWeights& rows);

}  // namespace temper
