// RoPE and keys of latent attention on the CPU. Contracts: model/ops/mla_heads.h, which has checked
// the arguments.
#pragma once

#include "model/ops/mla_heads.h"

namespace temper::cpu {

void mla_rope_forward(Context& ctx, const MlaRope& rope);
void mla_keys_forward(Context& ctx, Tensor k, Tensor k_nope, Tensor k_rope);
void mla_heads_backward(Context& ctx, const MlaHeadsGrads& grads);

}  // namespace temper::cpu
