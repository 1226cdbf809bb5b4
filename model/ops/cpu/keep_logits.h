// The CPU side of model/ops/keep_logits.h.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper::cpu {

void keep_logits(Context& ctx, Tensor logits, Tensor begin, Tensor ids);

}  // namespace temper::cpu
