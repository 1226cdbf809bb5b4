// What is left to look at of a step whose update fails.
#pragma once

#include <vector>

#include "grpo/group.h"
#include "grpo/trainer.h"
#include "model/training/step_saver.h"

namespace temper {

// The error with its step and, as its data, the samples that the update was given: those first
// about which rollout and trainer disagree most, 50 at most. `done` is how many of the step's
// updates came to their end: without any, the model is that of the step before.
StepError failed_update(const GrpoJob& job, const std::vector<GrpoGroup>& groups, int64_t step,
                        int64_t done, const UserError& error);

}  // namespace temper
