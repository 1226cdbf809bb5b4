// The training step of a scalar head: a loss of one number a sequence.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "model/training/train_step.h"

namespace temper {

// What a loss sees of one micro-batch: `score` is what the model gives each sequence, `dscore` is
// to be filled: d loss / d score.
struct SequenceScores {
  std::vector<double> score, dscore;
};
using ScoreLoss = std::function<void(SequenceScores&)>;

// Forward, the loss, backward, of a model with a scalar head (num_labels 1), which reads a
// sequence's last token. `weights` are those that the step trains. Adds into the step's gradients.
void accumulate_scores(Context& ctx, TrainStep& step, const ModelWeights& weights,
                       std::span<const std::vector<int32_t>> sequences, const ScoreLoss& loss);

}  // namespace temper
