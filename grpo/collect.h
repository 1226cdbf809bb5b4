// The first half of a step: prompts, completions, rewards, advantages.
#pragma once

#include <span>
#include <vector>

#include "grpo/group.h"
#include "grpo/trainer.h"
#include "rollout/engine.h"

namespace temper {

// Samples and judges the prompts with the present weights. `first` is the number of prompts that
// the step has sampled before: it keys the random numbers. Interrupted, it returns what there is:
// some samples are then cancelled.
std::vector<GrpoGroup> collect_groups(const GrpoJob& job, RolloutEngine& engine, int64_t step,
                                      std::span<const size_t> prompts, size_t first);

// Sets the advantages from the samples' totals; groups with a sample that could not be judged are
// marked and get none. With process rewards the advantages are those of process.h.
void compare_groups(const GrpoJob& job, std::vector<GrpoGroup>& groups);

}  // namespace temper
