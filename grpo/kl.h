// Estimates of KL(policy || reference) at one token that the policy sampled.
#pragma once

namespace temper {

enum class KlEstimator { k1, k2, k3 };

// An estimate and its derivative by the policy's log-probability. Units: nats.
struct KlTerm {
  double value = 0.0, dlogprob = 0.0;
};

// With g = reference - logprob: k1 = -g; k2 = g^2 / 2; k3 = exp(g) - g - 1, where g is held in
// [-20, 20] and k3 in [-10, 10]: past a bound the derivative is 0.
// As a loss, k1's derivative has mean 0 under the policy's own samples, k2's is that of the KL, and
// k3's is that of the KL the other way round.
// Source: Schulman 2020, "Approximating KL divergence"; DeepSeekMath eq. 4; bounds as in verl.
KlTerm kl_term(KlEstimator estimator, double logprob, double reference);

// rho times the estimate, rho = exp(clamp(logprob - old, -20, 20)), and the derivative of that
// product: the KL's own gradient, also on samples that an older policy drew.
// Source: DeepSeek-V3.2 (arXiv 2512.02556) section 3.1, with k3.
KlTerm unbiased_kl_term(KlEstimator estimator, double logprob, double reference, double old);

}  // namespace temper
