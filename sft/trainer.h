// Supervised fine-tuning.
#pragma once

#include <functional>
#include <span>

#include "core/interrupt.h"
#include "core/log.h"
#include "data/mixture.h"
#include "data/sample.h"
#include "data/store_step.h"
#include "model/checkpoint/resume.h"
#include "model/training/train_step.h"
#include "sft/options.h"

namespace temper {

// Everything a run of the stage needs; all references outlive it.
struct SftJob {
  Context& ctx;
  const ModelConfig& config;
  OwnedWeights& weights;
  const SftOptions& options;
  std::span<const Sample> train;
  std::span<const Sample> heldout;
  int64_t micro_batch_tokens = 0;
  Store& store;
  int64_t run_id = 0;
  Logger& log;
  const Interrupt& interrupt;
  // Writes the checkpoint of this step and its row; called inside the step's transaction.
  std::function<void(StepWriter&, const OptimizerState&, const StageState&)> save;
  // Where to go on; its weights are loaded already. nullptr: from the beginning.
  const TrainingCheckpoint* resume = nullptr;
  // The files that `train` is made of, with their weights; empty: one file.
  std::span<const MixturePart> parts = {};
  std::span<const std::string> files = {};  // their names; empty: one file
};

struct SftResult {
  int64_t steps = 0;                                 // done, those before a resume included
  double loss = 0.0;                                 // of the last step, nats a token
  double heldout_before = 0.0, heldout_after = 0.0;  // 0 without held-out samples
  double tokens_per_second = 0.0;
  bool interrupted = false;
};

// Trains for options.epochs (or max_steps) over the shuffled samples; each step is one transaction
// of the store, with the metrics of docs/database.md. The final checkpoint is written at the end,
// also when interrupted. Throws StepError if the loss stops being finite (the step before it is
// then saved) or an update has broken the model (which is not); what was committed before stays.
SftResult train_sft(const SftJob& job);

// Mean loss of the samples under the current weights, in nats a counted token.
double heldout_loss(const SftJob& job, TrainStep& step);

}  // namespace temper
