#include "grpo/advantage.h"

#include <cmath>
#include <map>

#include "core/error.h"

namespace temper {
namespace {

constexpr double kStdFloor = 1e-6;

double mean_of(std::span<const double> values) {
  double sum = 0.0;
  for (double x : values) sum += x;
  return values.empty() ? 0.0 : sum / static_cast<double>(values.size());
}

// out[i] = function(rewards of the group)[place of i in its group].
template <class GroupFunction>
std::vector<double> by_group(std::span<const ComparedSample> batch, GroupFunction&& function) {
  std::map<int64_t, std::vector<size_t>> groups;
  for (size_t i = 0; i < batch.size(); ++i) groups[batch[i].group].push_back(i);
  std::vector<double> out(batch.size()), rewards;
  for (const auto& [group, members] : groups) {
    rewards.clear();
    for (size_t i : members) rewards.push_back(batch[i].reward);
    const std::vector<double> part = function(rewards);
    for (size_t j = 0; j < members.size(); ++j) out[members[j]] = part[j];
  }
  return out;
}

std::vector<double> over_batch_std(std::span<const ComparedSample> batch) {
  std::vector<double> rewards;
  for (const ComparedSample& s : batch) rewards.push_back(s.reward);
  const double std = sample_std(rewards);
  std::vector<double> out = by_group(batch, centred_rewards);
  for (double& a : out) a /= std + kStdFloor;
  return out;
}

}  // namespace

std::vector<double> batch_advantages(AdvantageKind kind, std::span<const ComparedSample> batch) {
  switch (kind) {
    case AdvantageKind::group_std:
      return by_group(batch, group_advantages);
    case AdvantageKind::group_mean:
      return by_group(batch, centred_rewards);
    case AdvantageKind::batch_std:
      return over_batch_std(batch);
    case AdvantageKind::rloo:
      return by_group(batch, leave_one_out_advantages);
    case AdvantageKind::reinforce_pp: {
      std::vector<int64_t> tokens;
      for (const ComparedSample& s : batch) tokens.push_back(s.tokens);
      return whitened_over_tokens(by_group(batch, centred_rewards), tokens);
    }
  }
  require(false, "an advantage of no known kind");
  return {};
}

bool is_zero_signal(std::span<const double> rewards) {
  for (double r : rewards)
    if (r != rewards.front()) return false;
  return true;
}

double sample_std(std::span<const double> values) {
  if (values.size() < 2) return 0.0;
  const double mean = mean_of(values);
  double squares = 0.0;
  for (double x : values) squares += (x - mean) * (x - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

std::vector<double> centred_rewards(std::span<const double> rewards) {
  std::vector<double> out(rewards.size(), 0.0);
  if (is_zero_signal(rewards)) return out;  // exactly 0, whatever the mean rounds to
  const double mean = mean_of(rewards);
  for (size_t i = 0; i < rewards.size(); ++i) out[i] = rewards[i] - mean;
  return out;
}

std::vector<double> group_advantages(std::span<const double> rewards) {
  std::vector<double> out = centred_rewards(rewards);
  const double std = sample_std(rewards);
  for (double& a : out) a /= std + kStdFloor;
  return out;
}

std::vector<double> leave_one_out_advantages(std::span<const double> rewards) {
  std::vector<double> out = centred_rewards(rewards);
  const double n = static_cast<double>(rewards.size());
  // r - (sum - r) / (n - 1) = (r - mean) n / (n - 1)
  for (double& a : out) a *= n > 1.0 ? n / (n - 1.0) : 0.0;
  return out;
}

std::vector<double> whitened_over_tokens(std::span<const double> centred,
                                         std::span<const int64_t> tokens) {
  require(centred.size() == tokens.size(), "a token count for each sample");
  double count = 0.0, mean = 0.0, variance = 0.0;
  for (size_t i = 0; i < centred.size(); ++i) {
    count += static_cast<double>(tokens[i]);
    mean += centred[i] * static_cast<double>(tokens[i]);
  }
  std::vector<double> out(centred.begin(), centred.end());
  if (count < 2.0) return out;
  mean /= count;
  for (size_t i = 0; i < centred.size(); ++i)
    variance += (centred[i] - mean) * (centred[i] - mean) * static_cast<double>(tokens[i]);
  variance /= count - 1.0;
  for (double& a : out) a = (a - mean) / std::sqrt(variance + 1e-8);
  return out;
}

std::vector<std::vector<double>> process_advantages(std::span<const StepRewards> group) {
  std::vector<double> all;
  for (const StepRewards& s : group) {
    require(s.ends.size() == s.rewards.size(), "a reward for each step");
    all.insert(all.end(), s.rewards.begin(), s.rewards.end());
  }
  const std::vector<double> normalised = group_advantages(all);
  std::vector<std::vector<double>> out;
  size_t at = 0;  // of the present sample's first step in `normalised`
  for (const StepRewards& s : group) {
    std::vector<double>& advantages = out.emplace_back(static_cast<size_t>(s.tokens), 0.0);
    double sum = 0.0;
    size_t left = s.ends.size();
    for (int64_t t = s.tokens - 1; t >= 0; --t) {
      while (left > 0 && s.ends[left - 1] >= t) sum += normalised[at + --left];
      advantages[static_cast<size_t>(t)] = sum;
    }
    at += s.ends.size();
  }
  return out;
}

}  // namespace temper
