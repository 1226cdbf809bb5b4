// Counts of verdicts.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "reward/composite.h"

namespace temper {

// Verdicts counted by component and status.
class RewardTally {
 public:
  explicit RewardTally(const CompositeReward& reward);

  void add(const RewardResult& result);  // of one sample

  int64_t samples() const { return samples_; }
  // Samples with a component that could not be judged.
  int64_t unjudged() const { return unjudged_; }
  double unjudged_share() const;
  int64_t count(size_t component, VerdictStatus status) const;
  double mean_value(size_t component) const;  // over all samples it was asked of; 0 if none

  // A line a component: "math: 61 ok, 30 wrong, 9 no_answer".
  std::string report() const;

 private:
  struct Row {
    std::string name;
    std::array<int64_t, kVerdictStatuses> counts{};
    double sum = 0.0;
  };
  std::vector<Row> rows_;
  int64_t samples_ = 0, unjudged_ = 0;
};

}  // namespace temper
