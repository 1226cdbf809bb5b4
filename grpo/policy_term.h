// The policy term of one token: three ways to bound how far a batch moves the policy.
#pragma once

namespace temper {

enum class PolicyObjective {
  clipped,  // PPO's clip of the token's ratio: GRPO, DAPO, Dr. GRPO
  gspo,     // the same clip of the sequence's ratio
  cispo,    // the ratio is clipped as a weight; every token keeps its gradient
};

// The ratio's bounds are 1 - low and 1 + high.
struct ClipParams {
  double low = 0.2, high = 0.2;
  double dual = 0.0;  // c > 1: a negative advantage's loss is at most -A c; 0: off
};

// A token's loss, its derivative by the token's log-probability, and what bound it.
struct PolicyTerm {
  double loss = 0.0, dlogprob = 0.0;
  bool clipped_low = false, clipped_high = false, dual_clipped = false;
};

// loss = -min(rho A, clip(rho, 1-low, 1+high) A), rho = exp(clamp(log_ratio, -20, 20)); with dual
// clip and A < 0, loss = min(loss, -c A).
// Source: DeepSeekMath eq. 3; dual clip: Ye et al. 2020 (arXiv 1912.09729).
PolicyTerm clipped_term(double log_ratio, double advantage, const ClipParams& clip);

// loss = -min(s A, clip(s, 1-low, 1+high) A), s = exp(min(mean_log_ratio, 10)), the ratio of the
// whole sequence. The derivative is that of the token form s_t = sg[s] pi_t / sg[pi_t]; summed with
// one weight over a sequence whose tokens share A, it is the true one.
// Source: GSPO (arXiv 2507.18071) eq. 5-7 and 13-14; the bound of 10 as verl has it.
PolicyTerm gspo_term(double mean_log_ratio, double advantage, const ClipParams& clip);

// loss = -sg[clip(rho, 1-low, 1+high)] A logprob, rho = exp(clamp(logprob - old, -20, 20)).
// Source: MiniMax-M1 (arXiv 2506.13585) eq. 4-5.
PolicyTerm cispo_term(double logprob, double old, double advantage, const ClipParams& clip);

}  // namespace temper
