// Biases and RoPE of grouped-query heads on the CPU. Contracts: model/ops/gqa_heads.h, which has
// checked the arguments.
#pragma once

#include "model/ops/gqa_heads.h"

namespace temper::cpu {

void gqa_heads_forward(Context& ctx, const GqaHeads& heads);
void gqa_heads_backward(Context& ctx, const GqaHeadsGrads& grads);

}  // namespace temper::cpu
