// The second half of a step: the policy update.
#pragma once

#include <optional>
#include <vector>

#include "grpo/group.h"
#include "grpo/loss.h"
#include "grpo/trainer.h"

namespace temper {

// What the updates of a step did.
struct UpdateReport {
  StepReport last;        // of the last update
  GrpoTokenSums sums;     // over all tokens of all updates; the weighted ones over updates too
  double prob_sum = 0.0;  // of the sampled tokens' probabilities
  double grad_norm_max = 0.0;
  double scoring_seconds = 0.0;       // of `old` and `reference`, before the first update
  std::optional<double> update_norm;  // of the last update's change of the weights
  int64_t updates = 0, skipped = 0;   // skipped: no sample of the mini-batch had a gradient
  int64_t trained_tokens = 0;         // that carried loss, counted once an epoch
  int64_t trained_samples = 0;        // in the step's first epoch
  int64_t replayed_tokens = 0, differing_tokens = 0, differing_experts = 0;  // model/training
  int64_t micro_batches = 0, packed_tokens = 0;  // forward passes with gradient, and their tokens

  // A sum over tokens as their mean; not a number without tokens.
  double token_mean(double sum) const;
  // A weighted sum (loss and its parts) as the mean over updates.
  double update_mean(double sum) const;
};

// Sets `old` (and `reference`) of the samples, then does mini_batches * inner_epochs updates.
// Samples without advantage are left out of the computation, unless a KL, entropy, MTP or balance
// term wants them. The weights count every used sample of the mini-batch either way.
UpdateReport update_policy(const GrpoJob& job, TrainStep& step, std::vector<GrpoGroup>& groups,
                           int64_t step_index);

}  // namespace temper
