#include "grpo/advantage.h"

#include <cmath>

namespace temper {

bool is_zero_signal(std::span<const double> rewards) {
  for (double r : rewards)
    if (r != rewards.front()) return false;
  return true;
}

std::vector<double> group_advantages(std::span<const double> rewards) {
  std::vector<double> out(rewards.size(), 0.0);
  if (is_zero_signal(rewards)) return out;
  const double n = static_cast<double>(rewards.size());
  double mean = 0.0, squares = 0.0;
  for (double r : rewards) mean += r / n;
  for (double r : rewards) squares += (r - mean) * (r - mean);
  const double std = std::sqrt(squares / (n - 1.0));
  for (size_t i = 0; i < rewards.size(); ++i) out[i] = (rewards[i] - mean) / (std + 1e-6);
  return out;
}

}  // namespace temper
