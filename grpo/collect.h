// The first half of a step: prompts, completions, rewards, advantages.
#pragma once

#include <vector>

#include "grpo/group.h"
#include "grpo/trainer.h"
#include "rollout/engine.h"

namespace temper {

// Samples and judges the step's prompts with the present weights; step counts from 1. Interrupted,
// it returns what there is: some samples are then cancelled.
std::vector<GrpoGroup> collect_groups(const GrpoJob& job, RolloutEngine& engine, int64_t step);

// Sets the advantages; groups with a sample that could not be judged are marked and get none.
// Throws UserError when more than options.max_unjudged of the samples could not be judged; it names
// some of them, and an event keeps their completions.
void compare_groups(const GrpoJob& job, std::vector<GrpoGroup>& groups, int64_t step);

}  // namespace temper
