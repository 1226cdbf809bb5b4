// The GRPO objective as a pure function of log-probabilities.
#pragma once

#include <cstdint>
#include <span>

namespace temper {

struct GrpoLossParams {
  double clip_low = 0.2, clip_high = 0.2;
  double dual_clip = 0.0;  // c > 1: a negative advantage's loss is at most -A c; 0: off
  double kl_coef = 0.0;    // beta
};

// One sequence: its completion tokens only, all spans of one length (reference: empty if kl_coef is
// 0). Units: nats.
struct GrpoSequence {
  std::span<const double> logprob;    // under the policy in training
  std::span<const double> old;        // under the policy that is improved on
  std::span<const double> reference;  // under the reference
  double advantage = 0.0;
};

// Sums over the tokens of one sequence, before any weight.
struct GrpoTokenSums {
  double loss = 0.0;                             // weighted: this sequence's part of the loss
  double policy = 0.0;                           // sum of the clipped policy terms
  double kl = 0.0;                               // sum of k3
  double clipped_low = 0.0, clipped_high = 0.0;  // tokens at which the clip is active
  double ratio_sum = 0.0, ratio_max = 0.0;
  double old_minus_policy = 0.0;
};

// loss = weight * sum_t [ -min(rho_t A, clip(rho_t, 1-low, 1+high) A) + beta k3_t ],
// rho = exp(clamp(logprob - old, -20, 20)), k3 = exp(ref - logprob) - (ref - logprob) - 1.
// Fills dlogprob_t = d loss / d logprob_t. The caller's weight makes the aggregation: for
// DeepSeekMath's mean over sequences of the mean over tokens it is 1 / (N * tokens of the sequence)
// with N the sequences of the global batch.
// Source: DeepSeekMath eq. 3-4 and 21; dual clip: Ye et al. 2020.
GrpoTokenSums grpo_sequence_loss(std::span<double> dlogprob, const GrpoSequence& sequence,
                                 double weight, const GrpoLossParams& params);

}  // namespace temper
