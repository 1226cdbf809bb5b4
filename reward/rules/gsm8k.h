// The rule `gsm8k`: the final number as lm-eval reads it.
#pragma once

#include "reward/registry.h"

namespace temper {

// 1 if the number of the completion is the gold's as a text, after both lost commas, dollar signs,
// all before "#### " and a final full stop. `mode=strict` takes the number after the first
// "#### "; `mode=flexible` the last number. What stands before </think> is left out.
// Source: EleutherAI's lm-evaluation-harness, task gsm8k (filters strict-match, flexible-extract).
RuleInfo gsm8k_rule();

}  // namespace temper
