// The rule `length`: what a completion's length in tokens costs or brings.
#pragma once

#include "reward/registry.h"

namespace temper {

// With L the completion's tokens and M = `max_tokens`:
//   variant=overlong, S = `soft_tokens`:  0 for L <= M - S;  (M - S - L) / S up to M;  -1 above
//   variant=cosine:  r = long + (short - long) (1 + cos(pi L / M)) / 2 for L <= M;  `over` above
// The first stays in [-1, 0], the second between its three values. For a cosine that depends on
// whether the answer is right use two components, one behind `if` and one behind `unless`. Source:
// DAPO (Yu et al., 2025) equation 13; Yeo et al., 2025, "Demystifying Long Chain-of-Thought
// Reasoning", section 4.1, with L clamped to M.
// Units: tokens. Without a count (the row's `tokens` serves as well) the verdict is bad_gold.
RuleInfo length_rule();

}  // namespace temper
