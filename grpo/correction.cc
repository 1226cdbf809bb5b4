#include "grpo/correction.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace temper {
namespace {

double weight_of(double log_ratio) {
  return std::exp(std::clamp(log_ratio, -20.0, 20.0));
}

double bounded(const CorrectionParams& params, bool mask, double weight) {
  if (!mask) return std::min(weight, params.cap);
  return weight >= params.floor && weight <= params.cap ? weight : 0.0;
}

}  // namespace

std::vector<double> rollout_weights(const CorrectionParams& params, std::span<const double> old,
                                    std::span<const double> rollout) {
  if (params.kind == CorrectionKind::none) return {};
  require(old.size() == rollout.size(), "log-probabilities of one length");
  std::vector<double> out;
  double sum = 0.0;
  for (size_t t = 0; t < old.size(); ++t) {
    sum += old[t] - rollout[t];
    const bool mask = params.kind == CorrectionKind::token_mask;
    out.push_back(bounded(params, mask, weight_of(old[t] - rollout[t])));
  }
  const bool mask = params.kind == CorrectionKind::sequence_mask;
  if (mask || params.kind == CorrectionKind::sequence)
    std::fill(out.begin(), out.end(), bounded(params, mask, weight_of(sum)));
  return out;
}

bool is_off_policy(double advantage, std::span<const double> rollout,
                   std::span<const double> logprob, double delta) {
  require(rollout.size() == logprob.size(), "log-probabilities of one length");
  if (!(advantage < 0.0) || rollout.empty()) return false;
  double sum = 0.0;
  for (size_t t = 0; t < rollout.size(); ++t) sum += rollout[t] - logprob[t];
  return sum / static_cast<double>(rollout.size()) > delta;
}

}  // namespace temper
