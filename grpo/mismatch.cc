#include "grpo/mismatch.h"

#include <algorithm>
#include <cmath>

namespace temper {
namespace {

// Sums over tokens; p is the generator's probability, q the trainer's.
struct Sums {
  double n = 0.0, absolute = 0.0, gap = 0.0, gap2 = 0.0, k3 = 0.0, prob = 0.0;
  double w = 0.0, w2 = 0.0, far = 0.0, corrected = 0.0;
  double p = 0.0, q = 0.0, pp = 0.0, qq = 0.0, pq = 0.0;
  double sequences = 0.0, masked = 0.0;
};

void add_token(Sums& s, Mismatch& m, double rollout, double trainer) {
  const double gap = rollout - trainer, w = std::exp(std::clamp(-gap, -20.0, 20.0));
  const double p = std::exp(rollout), q = std::exp(trainer);
  s.n += 1.0, s.absolute += std::abs(gap), s.gap += gap, s.gap2 += gap * gap;
  s.k3 += w + gap - 1.0, s.prob += std::abs(p - q);
  s.w += w, s.w2 += w * w, s.far += w > 2.0 || w < 0.5;
  s.p += p, s.q += q, s.pp += p * p, s.qq += q * q, s.pq += p * q;
  m.max = std::max(m.max, std::abs(gap));
  m.prob_max = std::max(m.prob_max, std::abs(p - q));
  m.weight_max = s.n == 1.0 ? w : std::max(m.weight_max, w);
}

void add_correction(Sums& s, const GrpoSample& sample, const CorrectionParams& params) {
  const std::vector<double> weights = rollout_weights(params, sample.old, sample.rollout.logprobs);
  s.sequences += 1.0;
  if (weights.empty()) return;
  const bool of_sequence =
      params.kind == CorrectionKind::sequence || params.kind == CorrectionKind::sequence_mask;
  double sum = 0.0, masked = 0.0;
  for (size_t t = 0; t < weights.size(); ++t) sum += sample.old[t] - sample.rollout.logprobs[t];
  for (size_t t = 0; t < weights.size(); ++t) {
    const double gap = of_sequence ? sum : sample.old[t] - sample.rollout.logprobs[t];
    s.corrected += weights[t] != std::exp(std::clamp(gap, -20.0, 20.0));
    masked += weights[t] == 0.0;
  }
  s.masked += masked == static_cast<double>(weights.size());
}

double correlation(const Sums& s) {
  const double p = s.pp - s.p * s.p / s.n, q = s.qq - s.q * s.q / s.n;
  const double scale = std::sqrt(p * q);
  return scale > 0.0 ? (s.pq - s.p * s.q / s.n) / scale : 1.0;
}

}  // namespace

Mismatch measure_mismatch(const std::vector<GrpoGroup>& groups,
                          const CorrectionParams& correction) {
  Mismatch m;
  Sums s;
  for (const GrpoGroup& group : groups)
    for (const GrpoSample& sample : group.samples) {
      if (sample.old.empty()) continue;
      for (size_t t = 0; t < sample.old.size(); ++t)
        add_token(s, m, sample.rollout.logprobs[t], sample.old[t]);
      add_correction(s, sample, correction);
    }
  if (s.n == 0.0) return m;
  m.mean = s.absolute / s.n;
  m.kl = s.gap / s.n;
  m.std = std::sqrt(std::max(0.0, s.gap2 / s.n - m.kl * m.kl));
  m.k3 = s.k3 / s.n;
  m.prob_mean = s.prob / s.n;
  m.prob_correlation = correlation(s);
  m.weight_mean = s.w / s.n;
  m.ess = s.w * s.w / (s.n * s.w2);
  m.far = s.far / s.n;
  m.corrected = s.corrected / s.n;
  m.masked_sequences = s.masked / s.sequences;
  return m;
}

bool is_alarming(const Mismatch& m) {
  return m.prob_mean > 0.01 || std::abs(m.kl) > 0.1 || m.ess < 0.3;
}

}  // namespace temper
