// Group relative policy optimisation: sample, score, compare within the group, update.
#pragma once

#include <functional>
#include <span>

#include "core/interrupt.h"
#include "core/log.h"
#include "data/sample.h"
#include "data/store_step.h"
#include "data/tokenizer.h"
#include "grpo/group.h"
#include "grpo/options.h"
#include "model/checkpoint/resume.h"
#include "model/training/train_step.h"
#include "reward/composite.h"

namespace temper {

// Everything a run of the stage needs; all references outlive it.
struct GrpoJob {
  Context& ctx;
  const ModelConfig& config;
  OwnedWeights& weights;    // the policy: rollout and trainer read the same copy
  OwnedWeights* reference;  // what the run began with; nullptr without a KL term
  const GrpoOptions& options;
  std::span<const Prompt> prompts;
  const Tokenizer& tokenizer;
  std::vector<int32_t> stop_ids;  // end a completion
  const CompositeReward& reward;
  const CompositeReward* process_reward;  // of the steps; nullptr: outcomes alone count
  int64_t micro_batch_tokens = 0;
  Store& store;
  int64_t run_id = 0;
  Logger& log;
  const Interrupt& interrupt;
  // Writes the checkpoint of this step and its row; called inside a transaction of the step.
  std::function<void(StepWriter&, const OptimizerState&, const StageState&)> save;
  // Where to go on; its weights are loaded already. nullptr: from the beginning.
  const TrainingCheckpoint* resume = nullptr;
  // A replay: the batch of a step as it was stored, in place of a rollout.
  std::function<StepBatch(int64_t step)> stored_batch = {};
  int64_t last_step = 0;  // ends behind this one; 0: options.steps, which the schedule needs anyway
};

// What a step took, in seconds, mean over the steps of this call.
struct StepSeconds {
  double rollout = 0.0, update = 0.0, database = 0.0, whole = 0.0;
};

struct GrpoResult {
  int64_t steps = 0;                             // done, those before a resume included
  double reward_first = 0.0, reward_last = 0.0;  // mean reward of this call's first and last step
  double max_mismatch = 0.0;  // largest |rollout - trainer| log-probability of the run, nats
  int64_t zero_signal_groups = 0, unjudged_groups = 0;
  double rollout_tokens_per_second = 0.0, train_tokens_per_second = 0.0;
  StepSeconds seconds;
  bool interrupted = false;
};

// Runs options.steps steps; each is one transaction of the store: its samples, rewards and
// advantages, metrics and, where due, its checkpoint are committed together after the update.
// An interrupt ends the run at the last whole step, with a checkpoint of that step: an update goes
// on to its end, a rollout does not. So does a step that fails before its update. Throws StepError
// if too many samples cannot be judged, a gradient is not finite, or an update has broken the model
// (which is then not saved); what was committed before stays.
GrpoResult train_grpo(const GrpoJob& job);

}  // namespace temper
