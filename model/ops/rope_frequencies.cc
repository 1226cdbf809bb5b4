#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/ops/rope.h"

namespace temper {
namespace {

// YaRN's attention temperature: 0.1 mscale ln(factor) + 1.
double yarn_mscale(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

// The pair index whose wavelength makes `rotations` turns over the original context.
double yarn_dimension(double rotations, const RopeConfig& config, double dim, double context) {
  return dim * std::log(context / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(config.rope_theta));
}

// High frequencies stay, low ones are divided by `factor`, with a linear ramp between.
void apply_yarn(std::vector<double>& freq, const RopeConfig& config, double dim, double context) {
  const double low =
      std::max(std::floor(yarn_dimension(config.beta_fast, config, dim, context)), 0.0);
  double high =
      std::min(std::ceil(yarn_dimension(config.beta_slow, config, dim, context)), dim - 1);
  if (high == low) high += 0.001;  // as the published code: no division by zero
  for (size_t j = 0; j < freq.size(); ++j) {
    const double ramp = std::clamp((static_cast<double>(j) - low) / (high - low), 0.0, 1.0);
    freq[j] = freq[j] / config.factor * ramp + freq[j] * (1.0 - ramp);
  }
}

// By wavelength: short stay, long are divided by `factor`, a smooth blend between.
void apply_llama3(std::vector<double>& freq, const RopeConfig& config, double context) {
  for (double& f : freq) {
    const double turns = context * f / (2.0 * std::numbers::pi);
    const double smooth = std::clamp(
        (turns - config.low_freq_factor) / (config.high_freq_factor - config.low_freq_factor), 0.0,
        1.0);
    f = (1.0 - smooth) * f / config.factor + smooth * f;
  }
}

}  // namespace

RopeFrequencies rope_frequencies(const RopeConfig& config, int64_t rotary_dim,
                                 int64_t max_position_embeddings) {
  require(rotary_dim > 0 && rotary_dim % 2 == 0, "rope: the rotary dimension is odd");
  const double dim = static_cast<double>(rotary_dim);
  const double context = static_cast<double>(config.original_max_position_embeddings > 0
                                                 ? config.original_max_position_embeddings
                                                 : max_position_embeddings);
  RopeFrequencies out;
  for (int64_t j = 0; j < rotary_dim / 2; ++j)
    out.inv_freq.push_back(std::pow(config.rope_theta, -2.0 * static_cast<double>(j) / dim));
  switch (config.type) {
    case RopeType::none:
      break;
    case RopeType::linear:
      for (double& f : out.inv_freq) f /= config.factor;
      break;
    case RopeType::llama3:
      apply_llama3(out.inv_freq, config, context);
      break;
    case RopeType::yarn:
      apply_yarn(out.inv_freq, config, dim, context);
      if (config.attention_factor > 0.0)
        out.attention_factor = config.attention_factor;
      else if (config.mscale != 0.0 && config.mscale_all_dim != 0.0)
        out.attention_factor = yarn_mscale(config.factor, config.mscale) /
                               yarn_mscale(config.factor, config.mscale_all_dim);
      else
        out.attention_factor = yarn_mscale(config.factor, 1.0);
      break;
  }
  return out;
}

}  // namespace temper
