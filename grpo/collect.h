// The first half of a step: prompts, completions, rewards, advantages.
#pragma once

#include <vector>

#include "grpo/group.h"
#include "grpo/trainer.h"
#include "rollout/engine.h"

namespace temper {

// Samples the step's prompts with the present weights; step counts from 1.
std::vector<GrpoGroup> sample_groups(const GrpoJob& job, RolloutEngine& engine, int64_t step);

// Scores every sample, drops groups that could not be judged, and sets the advantages.
// Throws UserError when more than options.max_unjudged of the samples could not be judged.
void score_groups(const GrpoJob& job, std::vector<GrpoGroup>& groups);

}  // namespace temper
