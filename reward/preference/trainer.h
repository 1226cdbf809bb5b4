// Training a reward model.
#pragma once

#include <functional>
#include <span>

#include "core/interrupt.h"
#include "core/log.h"
#include "data/store_step.h"
#include "model/checkpoint/resume.h"
#include "model/training/train_step.h"
#include "reward/preference/accuracy.h"
#include "reward/preference/options.h"

namespace temper {

// Everything a run of the stage needs; all references outlive it.
struct RewardModelJob {
  Context& ctx;
  const ModelConfig& config;
  OwnedWeights& weights;  // with a scalar head
  const RewardModelOptions& options;
  std::span<const PreferenceExample> train, heldout;
  int64_t micro_batch_tokens = 0;
  Store& store;
  int64_t run_id = 0;
  Logger& log;
  const Interrupt& interrupt;
  // Writes the checkpoint of this step and its row; called inside the step's transaction.
  std::function<void(StepWriter&, const OptimizerState&, const StageState&)> save;
};

struct RewardModelResult {
  int64_t steps = 0;
  double loss = 0.0;                 // of the last step
  PreferenceAccuracy before, after;  // on the held-out rows; empty without any
  PreferenceAccuracy train;          // on the training rows, at the end
  double tokens_per_second = 0.0;
  bool interrupted = false;
};

// Trains for options.epochs (or max_steps) over the shuffled rows; each step is one transaction of
// the store. The mean over the step's rows is the loss, so that micro-batches change nothing. The
// final checkpoint is written at the end, also when interrupted.
// Throws StepError if the loss or a gradient is not finite; what was committed before stays, and is
// saved as sft does.
RewardModelResult train_reward_model(const RewardModelJob& job);

// scores[e][a] of all answers under the present weights.
std::vector<std::vector<double>> score_examples(const RewardModelJob& job,
                                                std::span<const PreferenceExample> examples);

}  // namespace temper
