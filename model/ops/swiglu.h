// The gated activation of the feed-forward layers.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper {

// y = silu(gate) * up,  silu(g) = g * sigmoid(g).  Source: Shazeer 2020.
// Shapes: all [T, I]. Types: f32 or f64.
void swiglu_forward(Context& ctx, Tensor y, Tensor gate, Tensor up);

// dup = dy * silu(gate);  dgate = dy * up * sigmoid(gate) * (1 + gate * (1 - sigmoid(gate))).
// Adds into: dgate, dup.
void swiglu_backward(Context& ctx, Tensor dgate, Tensor dup, Tensor dy, Tensor gate, Tensor up);

}  // namespace temper
