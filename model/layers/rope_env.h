// The rotary tables of a batch, for whichever attention the model has.
#pragma once

#include "core/context.h"
#include "model/config.h"
#include "model/ops/rope.h"

namespace temper {

// Allocates and fills cos and sin [T, rotary/2] for positions [T] i32.
void make_rope_env(Context& ctx, Arena& arena, const ModelConfig& config, Tensor positions,
                   DType dtype, Tensor& cos, Tensor& sin);

}  // namespace temper
