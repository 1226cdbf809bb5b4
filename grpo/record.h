// What a step leaves in the database besides its metrics.
#pragma once

#include "grpo/group.h"
#include "grpo/trainer.h"

namespace temper {

// Inserts prompts, samples, rewards and advantages, also of groups that the step did not use.
void record_batch(const GrpoJob& job, StepWriter& writer, const StepBatch& batch);

// Rounds what the update uses of the rollout to the floats that the database keeps, so that a
// replay from there has the same numbers.
void round_to_float(std::vector<double>& values);

}  // namespace temper
