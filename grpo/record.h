// What a step leaves in the database besides its metrics.
#pragma once

#include "grpo/group.h"
#include "grpo/trainer.h"

namespace temper {

// Inserts prompts, samples, rewards and advantages, also of groups that the step did not use.
void record_batch(const GrpoJob& job, StepWriter& writer, const StepBatch& batch);

}  // namespace temper
