// Training a student on a teacher's whole distributions.
#pragma once

#include <functional>
#include <span>

#include "core/interrupt.h"
#include "core/log.h"
#include "data/mixture.h"
#include "data/sample.h"
#include "data/store_step.h"
#include "model/checkpoint/resume.h"
#include "model/ops/row_kl.h"
#include "model/training/train_step.h"
#include "rollout/sample_prompts.h"
#include "sft/options.h"

namespace temper {

// Everything a run of the stage needs; all references outlive it.
struct DistillJob {
  Context& ctx;
  const ModelConfig& config;
  OwnedWeights& weights;  // the student's
  const ModelConfig& teacher_config;
  const ModelWeights& teacher;
  KlDirection direction = KlDirection::forward;
  double temperature = 1.0;              // of both distributions
  const SftOptions& options;             // batches, optimiser, checkpoints
  std::span<const Sample> samples;       // off-policy: what is trained on
  const SampleJob* on_policy = nullptr;  // else: each step the student answers batch_size of
                                         // its prompts, and is trained on what it said
  int64_t micro_batch_tokens = 0;
  Store& store;
  int64_t run_id = 0;
  Logger& log;
  const Interrupt& interrupt;
  // Writes the checkpoint of this step and its row; called inside the step's transaction.
  std::function<void(StepWriter&, const OptimizerState&, const StageState&)> save;
  // The files that `samples` are made of, with their weights; empty: one file.
  std::span<const MixturePart> parts = {};
  // Where to go on; its weights are loaded already. nullptr: from the beginning.
  const TrainingCheckpoint* resume = nullptr;
};

struct DistillResult {
  int64_t steps = 0;                     // done, those before a resume included
  double kl_first = 0.0, kl_last = 0.0;  // mean of the first and last step's tokens, nats
  bool interrupted = false;
};

// Adds the gradient of sum over counted tokens of KL / normaliser to `step`'s and returns that
// sum's part of this micro-batch. Logits of both models live a chunk of rows at a time.
struct KlParams {
  KlDirection direction = KlDirection::forward;
  double temperature = 1.0;
  double normaliser = 1.0;  // counted tokens of the global batch
};
double accumulate_kl(Context& ctx, TrainStep& step, const ModelWeights& student,
                     const ModelWeights& teacher, const ModelConfig& teacher_config,
                     std::span<const TrainSequence> sequences, const KlParams& params);

// Trains for options.epochs (or max_steps); each step is one transaction of the store. Throws
// StepError if the loss stops being finite; what was committed before stays, and is saved as sft
// does.
DistillResult train_distill(const DistillJob& job);

}  // namespace temper
