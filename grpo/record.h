// What a step leaves in the database.
#pragma once

#include <vector>

#include "grpo/group.h"
#include "grpo/trainer.h"
#include "grpo/update.h"

namespace temper {

// Seconds of a step's phases; rollout includes the rewards.
struct PhaseSeconds {
  double rollout = 0.0, update = 0.0;
};

// How far the generator's log-probabilities are from the trainer's on the tokens that both have.
struct Mismatch {
  double max = 0.0, mean = 0.0;  // of |rollout - trainer|, nats
  double kl = 0.0;               // mean of rollout - trainer: KL(rollout || trainer) by samples
};
Mismatch measure_mismatch(const std::vector<GrpoGroup>& groups);

// The mean over all samples of all groups.
double mean_reward(const std::vector<GrpoGroup>& groups);

// Inserts prompts, samples, rewards and advantages.
void record_groups(const GrpoJob& job, StepWriter& writer, const std::vector<GrpoGroup>& groups,
                   int64_t policy_version);
// Inserts the step's metrics; names are those of docs/database.md.
void record_metrics(const GrpoJob& job, StepWriter& writer, const std::vector<GrpoGroup>& groups,
                    const UpdateReport& update, const PhaseSeconds& seconds);

}  // namespace temper
