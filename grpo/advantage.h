// Advantages: what a sample's reward says beside those of the other samples of its prompt.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace temper {

enum class AdvantageKind {
  group_std,     // (r - group mean) / (group std + 1e-6)
  group_mean,    // r - group mean
  batch_std,     // (r - group mean) / (std of all rewards of the batch + 1e-6)
  rloo,          // r - mean of the other samples of the group
  reinforce_pp,  // r - group mean, then whitened over all tokens of the batch
};

// One sample of the batch.
struct ComparedSample {
  int64_t group = 0;
  double reward = 0.0;
  int64_t tokens = 0;  // that carry loss
};

// The advantages of a whole batch, in its order; groups whose rewards are all equal get 0 but from
// reinforce_pp, which moves every sample by the batch's mean.
// Source: the functions below, one a kind.
std::vector<double> batch_advantages(AdvantageKind kind, std::span<const ComparedSample> batch);

// A_i = (r_i - mean(r)) / (std(r) + 1e-6), std with n-1; all 0 if the rewards are all equal.
// Source: DeepSeekMath (arXiv 2402.03300) section 4.1.2; n-1 and 1e-6 as verl has them.
std::vector<double> group_advantages(std::span<const double> rewards);

// A_i = r_i - mean(r). Source: Dr. GRPO (arXiv 2503.20783) section 3.2.
std::vector<double> centred_rewards(std::span<const double> rewards);

// A_i = r_i - mean of r_j, j != i; 0 for a group of one.
// Source: RLOO (Ahmadian et al. 2024, arXiv 2402.14740) section 2.
std::vector<double> leave_one_out_advantages(std::span<const double> rewards);

// A_i = (c_i - m) / sqrt(v + 1e-8) with c the centred rewards of all groups, m and v their mean and
// variance (n-1) over the tokens of the batch: sample i counts tokens_i times.
// Source: REINFORCE++ with baseline (arXiv 2501.03262); the constants as verl has them.
std::vector<double> whitened_over_tokens(std::span<const double> centred,
                                         std::span<const int64_t> tokens);

// Standard deviation with n-1; 0 for fewer than two values.
double sample_std(std::span<const double> values);

// Whether the group teaches nothing: all rewards equal.
bool is_zero_signal(std::span<const double> rewards);

// The rewards of the steps of one completion: step j ends with token ends[j], ascending.
struct StepRewards {
  std::vector<int64_t> ends;
  std::vector<double> rewards;  // one a step
  int64_t tokens = 0;           // of the completion
};

// A_it = sum of rn_ij over the steps j of sample i with ends[j] >= t, where
// rn = (r - mean(R)) / (std(R) + 1e-6) and R has all step rewards of the group.
// All 0 if the step rewards are all equal.
// Source: DeepSeekMath section 4.1.3 (process supervision).
// Shapes: [sample][token].
std::vector<std::vector<double>> process_advantages(std::span<const StepRewards> group);

}  // namespace temper
