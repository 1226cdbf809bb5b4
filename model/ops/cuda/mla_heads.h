// RoPE and keys of latent attention on the GPU. Contracts: model/ops/mla_heads.h, which has checked
// the arguments.
#pragma once

#include "model/ops/mla_heads.h"

namespace temper::cuda {

void mla_rope_forward(Context& ctx, const MlaRope& rope);
void mla_keys_forward(Context& ctx, Tensor k, Tensor k_nope, Tensor k_rope);
void mla_heads_backward(Context& ctx, const MlaHeadsGrads& grads);
// dk_rope from the part that each head gave the turned k_rope, dparts [T, H, rope].
void mla_shared_keys_backward(Context& ctx, const Grad& dk_rope, Tensor dparts, Tensor cos,
                              Tensor sin);

}  // namespace temper::cuda
