// Cutting rows of logits down to the tokens that a sampler kept.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper {

// logits[r][v] stays where v is among ids[begin[r]] .. ids[begin[r+1] - 1], and becomes -1e30
// elsewhere: probability 0, so that log-probabilities, entropies and gradients are those of the cut
// and renormalised distribution. A row whose set is empty stays whole.
// Source: DeepSeek-V3.2 (arXiv 2512.02556) section 3.1, keep sampling mask.
// Shapes: logits [R, V], begin [R+1] i32, ids [K] i32. Types: logits f32 or f64.
// Throws ContractError for an id outside the vocabulary.
void keep_logits(Context& ctx, Tensor logits, Tensor begin, Tensor ids);

}  // namespace temper
