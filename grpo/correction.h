// Corrections for samples that another policy drew: one step old, or computed by other kernels.
#pragma once

#include <span>
#include <vector>

namespace temper {

enum class CorrectionKind {
  none,
  token,          // each token's weight, cut at the cap: truncated importance sampling
  sequence,       // the product over the sequence, cut at the cap
  token_mask,     // tokens whose weight leaves [floor, cap] teach nothing: IcePop
  sequence_mask,  // sequences whose weight leaves [floor, cap] teach nothing
};

struct CorrectionParams {
  CorrectionKind kind = CorrectionKind::none;
  double cap = 2.0;
  double floor = 0.0;  // of the two masks
};

// Importance weights w = exp(clamp(old - rollout, -20, 20)) of a sequence's tokens, `old` by the
// trainer before the update, `rollout` by the policy that drew them:
//   token min(w_t, cap);  sequence min(w, cap) with w of the summed log-ratio;
//   token_mask, sequence_mask: w itself inside [floor, cap], else 0.
// They are constants to the gradient. Empty for CorrectionKind::none.
// Source: Yao et al. 2025 ("Your efficient RL framework secretly brings you off-policy RL
// training"); masks: IcePop (Ring-1T, arXiv 2510.18855).
std::vector<double> rollout_weights(const CorrectionParams& params, std::span<const double> old,
                                    std::span<const double> rollout);

// Whether a sequence is left out of the policy term: advantage < 0 and
// mean_t (rollout_t - logprob_t) > delta, so the policy has moved away from it already.
// Source: DeepSeek-V3.2 (arXiv 2512.02556) section 3.1, off-policy sequence masking.
bool is_off_policy(double advantage, std::span<const double> rollout,
                   std::span<const double> logprob, double delta);

}  // namespace temper
