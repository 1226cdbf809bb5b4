// RoPE and keys of latent attention on the CPU. Contracts: model/ops/mla_heads.h, which has checked
// the arguments.
#pragma once

#include "model/ops/mla_heads.h"

namespace temper::cpu {

void mla_heads_forward(Context& ctx, const MlaHeads& heads);
void mla_keys_forward(Context& ctx, const MlaHeads& heads);
void mla_heads_backward(Context& ctx, const MlaHeadsGrads& grads);

}  // namespace temper::cpu
