// The rule `math`: the final answer against a reference answer.
#pragma once

#include "reward/registry.h"

namespace temper {

// 1 if the completion's final answer is mathematically equal to the gold; equality is decided by
// the gold's type (reward/math/compare.h). The gold may be a whole solution; its final answer is
// found in the same way. Parameter `inequality`: whether an inequality may answer for an interval.
RuleInfo math_rule();

}  // namespace temper
