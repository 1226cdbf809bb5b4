// What a GRPO run keeps in a checkpoint besides weights and moments.
#pragma once

#include "grpo/rollouts.h"

namespace temper {

// Calls job.save with the run's state: how many prompts were drawn, the rollout that waits for its
// step (--staleness), and the reference if it is no longer the one that the run began with.
void save_grpo(const GrpoJob& job, StepWriter& writer, TrainStep& train, const Rollouts& rollouts,
               int64_t step);

// Takes that state, weights and moments from job.resume; returns the step that it was saved
// behind, 0 without one. Throws UserError if they do not fit the run.
int64_t restore_grpo(const GrpoJob& job, TrainStep& train, Rollouts& rollouts);

}  // namespace temper
