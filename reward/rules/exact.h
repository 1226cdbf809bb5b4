// The rule `exact`: the answer is the gold, letter by letter.
#pragma once

#include "reward/registry.h"

namespace temper {

// 1 if the answer is the gold after both were trimmed. The answer is the content of the only
// <answer>, or all that follows </think> if there are no answer tags. `case=ignore` compares small
// letters, `spaces=ignore` takes any run of white space for one space.
RuleInfo exact_rule();

}  // namespace temper
