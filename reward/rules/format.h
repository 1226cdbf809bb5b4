// The rule `format`: R1's tags over the whole completion.
#pragma once

#include "reward/registry.h"

namespace temper {

// 1 if the completion is  ws <think> T </think> ws <answer> A </answer> ws  with T and A not blank,
// each tag exactly once in the whole completion and nothing but whitespace between and around;
// else 0 with the first fault as reason. Parameters: `variant` r1-zero (this) or r1 (no answer
// tags: a summary that is not blank follows </think>); `opened` auto, yes, no: whether the prompt
// already ends with <think>, as R1's chat template does.
// Source: DeepSeek-R1 section 2.2.2; the loopholes in docs/rewards.md.
RuleInfo format_rule();

}  // namespace temper
