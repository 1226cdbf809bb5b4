#include "reward/composite.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "core/error.h"

namespace temper {
namespace {

double clamped(double value, const RewardClamp& clamp) {
  return std::min(std::max(value, clamp.low), clamp.high);
}

Verdict timed_score(const RewardRule& rule, const RewardInput& input) {
  const auto start = std::chrono::steady_clock::now();
  Verdict verdict;
  try {
    verdict = rule.score(input);
  } catch (const std::exception& failure) {
    verdict = verdict_error(failure.what());
  }
  verdict.microseconds = std::chrono::duration_cast<std::chrono::microseconds>(
                             std::chrono::steady_clock::now() - start)
                             .count();
  return verdict;
}

}  // namespace

CompositeReward::CompositeReward(const RewardSpec& spec, const RewardRegistry& registry,
                                 const std::string& where)
    : spec_(spec) {
  if (spec_.components.empty()) {
    throw UserError({.what = "the reward has no component",
                     .where = where,
                     .expected = "for instance math=1,format=0.2",
                     .found = {},
                     .hint = {}});
  }
  const auto& components = spec_.components;
  for (size_t i = 0; i < components.size(); ++i) {
    rules_.push_back(registry.make(components[i].rule, components[i].parameters, where));
    int gate = -1;
    for (size_t j = 0; j < components.size(); ++j) {
      if (j != i && components[j].name == components[i].name) {
        throw UserError({.what = "two reward components of one name",
                         .where = where,
                         .expected = {},
                         .found = components[i].name,
                         .hint = "name one with 'as': " + components[i].rule + "=1 as other"});
      }
      if (j != i && components[j].name == components[i].gate) gate = static_cast<int>(j);
    }
    if (gate < 0 && !components[i].gate.empty()) {
      throw UserError({.what = "the gate of '" + components[i].name + "' is not another component",
                       .where = where,
                       .expected = "the name of a component",
                       .found = components[i].gate,
                       .hint = "add " + components[i].gate + "=0 to judge it without weight"});
    }
    gates_.push_back(gate);
  }
}

RewardResult CompositeReward::score(const RewardInput& input) const {
  RewardResult result;
  result.components.reserve(rules_.size());
  for (size_t i = 0; i < rules_.size(); ++i) {
    result.components.push_back({spec_.components[i].weight, true, timed_score(*rules_[i], input)});
  }
  double sum = 0.0;
  for (size_t i = 0; i < rules_.size(); ++i) {
    ComponentVerdict& part = result.components[i];
    if (!was_judged(part.verdict.status)) result.judged = false;
    if (gates_[i] >= 0) {
      const Verdict& gate = result.components[static_cast<size_t>(gates_[i])].verdict;
      part.counted = gate.status == VerdictStatus::ok;
    }
    if (part.counted) sum += part.weight * clamped(part.verdict.value, spec_.components[i].clamp);
  }
  result.value = clamped(sum, spec_.total_clamp);
  return result;
}

std::vector<RewardResult> score_all(ThreadPool& pool, const CompositeReward& reward,
                                    std::span<const RewardInput> inputs) {
  std::vector<RewardResult> results(inputs.size());
  std::atomic<size_t> next{0};
  const auto take_turns = [&](int64_t, int64_t) {
    for (size_t i = next++; i < inputs.size(); i = next++) results[i] = reward.score(inputs[i]);
  };
  const int64_t threads = std::min<int64_t>(pool.size(), static_cast<int64_t>(inputs.size()));
  pool.parallel_for(threads, 1, take_turns);
  return results;
}

}  // namespace temper
