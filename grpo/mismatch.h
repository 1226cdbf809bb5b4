// How far the generator's log-probabilities are from the trainer's.
#pragma once

#include <vector>

#include "grpo/correction.h"
#include "grpo/group.h"

namespace temper {

// Over the tokens that both have scored; w = exp(trainer - rollout) a token, the trainer's being
// those before the step's first update. Units: nats where not said otherwise.
struct Mismatch {
  double max = 0.0, mean = 0.0;   // of |rollout - trainer|
  double std = 0.0;               // of rollout - trainer
  double kl = 0.0;                // mean of rollout - trainer: KL(rollout || trainer)
  double k3 = 0.0;                // the same by mean of w - log w - 1
  double prob_max = 0.0;          // of |difference of the probabilities|
  double prob_mean = 0.0;         // likewise; above 0.01 points to a bug
  double prob_correlation = 1.0;  // Pearson's, of the two probabilities
  double weight_mean = 1.0, weight_max = 1.0;
  double ess = 1.0;               // (sum w)^2 / (n sum w^2): effective share of the samples
  double far = 0.0;               // share of tokens with w above 2 or below 1/2
  double corrected = 0.0;         // share of tokens whose weight the correction cut or masked
  double masked_sequences = 0.0;  // share of sequences whose every weight it masked
};

// All 0 (and 1 for ratios) without tokens.
Mismatch measure_mismatch(const std::vector<GrpoGroup>& groups, const CorrectionParams& correction);

// Whether fresh samples differ so much that the engines do not compute the same model: a mean
// difference of probabilities above 0.01, a KL past 0.1, or an effective share below 0.3.
// Source: the alarms of verl's rollout correction.
bool is_alarming(const Mismatch& mismatch);

}  // namespace temper
