// The rollout of a step: as many generations as it takes to fill the batch.
#pragma once

#include "grpo/group.h"
#include "grpo/prompt_order.h"
#include "grpo/trainer.h"
#include "rollout/engine.h"

namespace temper {

// Samples prompts_per_step * oversample prompts and keeps prompts_per_step groups, those with a
// signal first; with dynamic sampling only those, and it samples on until they are enough or
// max_generations is reached. Groups that are not kept say so in `dropped`. A group has a signal if
// it was judged and its rewards, as the rules gave them, are not all equal.
// Interrupted, it returns what there is: some samples are then cancelled.
// Source: DAPO (arXiv 2503.14476) section 3.2.
StepBatch gather_batch(const GrpoJob& job, RolloutEngine& engine, PromptOrder& order, int64_t step);

// Marks the groups beyond the batch as dropped; returns how many groups with a signal there are.
int64_t choose_groups(const GrpoOptions& options, std::vector<GrpoGroup>& groups);

}  // namespace temper
