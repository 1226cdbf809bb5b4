// Causal attention on the GPU. Contracts: model/ops/attention.h, which has checked the arguments.
#pragma once

#include "model/ops/mla_attention.h"

namespace temper::cuda {

void attention_forward(Context& ctx, Tensor o, Tensor lse, Tensor q, Tensor k, Tensor v,
                       const AttentionShape& shape);
void attention_backward(Context& ctx, const AttentionGrads& grads, Tensor d_o,
                        const AttentionSaved& saved, const AttentionShape& shape);
// Contracts: model/ops/mla_attention.h. False, with nothing done, where no kernel reads keys of two
// parts: another card than Hopper, f32, or parts that are not multiples of 64 numbers.
bool mla_attention_forward(Context& ctx, Tensor o, Tensor lse, const MlaAttention& in,
                           const AttentionShape& shape);
bool mla_attention_backward(Context& ctx, const MlaAttentionGrads& grads, Tensor d_o,
                            const MlaAttentionSaved& saved, const AttentionShape& shape);

}  // namespace temper::cuda
