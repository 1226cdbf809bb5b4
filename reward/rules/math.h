// The rule `math`: the final answer against a reference answer.
#pragma once

#include "reward/registry.h"

namespace temper {

// 1 if the completion's final answer equals the gold: as exact rational numbers if both are
// numbers, as text without white space otherwise. The gold may be a whole solution; its final
// answer is found in the same way. bad_gold if the gold is empty or holds no final answer.
RuleInfo math_rule();

}  // namespace temper
