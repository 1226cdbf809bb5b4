// Samples that no rule could judge.
#pragma once

#include <vector>

#include "grpo/group.h"
#include "grpo/trainer.h"

namespace temper {

// Throws StepError when more than options.max_unjudged of the step's samples could not be judged;
// it names some of them, and its data keeps their completions.
void check_judged(const GrpoJob& job, const std::vector<GrpoGroup>& groups, int64_t step);

}  // namespace temper
