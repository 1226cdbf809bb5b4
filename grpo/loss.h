// The objective of one sequence as a pure function of log-probabilities: policy term, corrections,
// KL and entropy.
#pragma once

#include <cstdint>
#include <span>

#include "grpo/correction.h"
#include "grpo/kl.h"
#include "grpo/policy_term.h"

namespace temper {

struct GrpoLossParams {
  PolicyObjective objective = PolicyObjective::clipped;
  ClipParams clip = {};
  double kl_coef = 0.0;  // beta, of the KL in the loss
  KlEstimator kl = KlEstimator::k3;
  bool kl_unbiased = false;   // times the ratio: DeepSeek-V3.2
  double entropy_coef = 0.0;  // times the entropy, subtracted from the loss
  CorrectionParams correction = {};
  double off_policy_delta = 0.0;  // 0: no sequence is masked
};

// One sequence: its completion tokens only, all spans of one length or empty where nothing in the
// params asks for them. Units: nats.
struct GrpoSequence {
  std::span<const double> logprob;                // under the policy in training
  std::span<const double> old;                    // under the policy that is improved on
  std::span<const double> reference = {};         // under the reference
  double advantage = 0.0;                         // of every token, unless
  std::span<const double> token_advantages = {};  // there is one a token
  std::span<const double> rollout = {};           // under the policy that drew it
  std::span<const double> entropy = {};           // of the policy's distribution
};

// d loss / d logprob and d loss / d entropy of each token; dentropy may be empty without an entropy
// bonus.
struct GrpoGradient {
  std::span<double> dlogprob, dentropy = {};
  // One a token, to add into: what bound its ratio (clip_bits); may be empty.
  std::span<uint8_t> clips = {};
};

// What bound a token's ratio in an update.
namespace clip_bits {
constexpr uint8_t kLow = 1, kHigh = 2, kDual = 4, kOffPolicy = 8;
}  // namespace clip_bits

// The sequence's part of the loss (weighted), and sums over its tokens before any weight.
struct GrpoTokenSums {
  double loss = 0.0;  // = policy_loss + kl_loss - entropy_bonus
  double policy_loss = 0.0, kl_loss = 0.0, entropy_bonus = 0.0;  // weighted
  double policy = 0.0;                                           // of the policy terms
  double kl = 0.0, k1 = 0.0, k3 = 0.0;  // of the chosen estimate, of k1 and of k3
  double entropy = 0.0;
  double clipped_low = 0.0, clipped_high = 0.0, dual_clipped = 0.0;  // tokens so bound
  double ratio_sum = 0.0, ratio_max = 0.0;
  double old_minus_policy = 0.0;
  double off_policy = 0.0;  // tokens of a masked sequence
  double tokens = 0.0;

  GrpoTokenSums& operator+=(const GrpoTokenSums& other);
};

// loss = weight * sum_t [ M c_t policy_t + beta kl_t - alpha H_t ] with policy_t as policy_term.h
// gives it, c_t the correction's weights, M = 0 where is_off_policy() says so, kl_t as kl.h gives
// it, H_t the entropy. Fills the gradient; c and M are constants to it. The caller's weight makes
// the aggregation (aggregation.h).
GrpoTokenSums grpo_sequence_loss(const GrpoGradient& gradient, const GrpoSequence& sequence,
                                 double weight, const GrpoLossParams& params);

}  // namespace temper
