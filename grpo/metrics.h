// The numbers of a step.
#pragma once

#include <optional>
#include <string>

#include "grpo/group.h"
#include "grpo/mismatch.h"
#include "grpo/trainer.h"
#include "grpo/update.h"

namespace temper {

// What a step did, as the trainer knows it at the step's end.
struct StepOutcome {
  StepBatch batch;
  UpdateReport update = {};
  Mismatch mismatch = {};
  double scoring_seconds = 0.0;  // of the update's: log-probabilities before its first update
  double update_seconds = 0.0;
  double database_seconds = 0.0;     // waited for rows of earlier steps since the step before
  bool reference_refreshed = false;  // behind this step
  std::optional<std::string> weights_checksum = {};
};

// Inserts the step's metrics; docs/objectives.md says what each name means.
void record_metrics(const GrpoJob& job, StepWriter& writer, const StepOutcome& outcome);

// What a component of the reward took that waits for the end of the rollout; of others 0, for they
// run beside it. Units: s.
double seconds_after_rollout(const CompositeReward& reward, size_t component,
                             const std::vector<GrpoGroup>& groups);
// The same for all components together.
double seconds_after_rollout(const CompositeReward& reward, const std::vector<GrpoGroup>& groups);

// The mean reward over all judged samples, as the rules gave it.
double mean_reward(const std::vector<GrpoGroup>& groups);

// Whether a sample is right: the first component of the reward that is not `format` says ok.
bool is_right(const CompositeReward& reward, const GrpoSample& sample);

}  // namespace temper
