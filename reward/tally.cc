#include "reward/tally.h"

#include "core/error.h"

namespace temper {

RewardTally::RewardTally(const CompositeReward& reward) {
  for (size_t i = 0; i < reward.size(); ++i) rows_.push_back({reward.name(i)});
}

void RewardTally::add(const RewardResult& result) {
  require(result.components.size() == rows_.size(), "a result of another reward");
  ++samples_;
  if (!result.judged) ++unjudged_;
  for (size_t i = 0; i < rows_.size(); ++i) {
    const Verdict& verdict = result.components[i].verdict;
    ++rows_[i].counts[static_cast<size_t>(verdict.status)];
    rows_[i].sum += verdict.value;
  }
}

double RewardTally::unjudged_share() const {
  return samples_ == 0 ? 0.0 : static_cast<double>(unjudged_) / static_cast<double>(samples_);
}

int64_t RewardTally::count(size_t component, VerdictStatus status) const {
  return rows_[component].counts[static_cast<size_t>(status)];
}

double RewardTally::mean_value(size_t component) const {
  const int64_t asked = samples_ - count(component, VerdictStatus::not_asked);
  return asked == 0 ? 0.0 : rows_[component].sum / static_cast<double>(asked);
}

std::string RewardTally::report() const {
  std::string text;
  for (const Row& row : rows_) {
    std::string line;
    for (size_t s = 0; s < row.counts.size(); ++s) {
      if (row.counts[s] == 0) continue;
      line += (line.empty() ? "" : ", ") + std::to_string(row.counts[s]) + " " +
              std::string(name_of(static_cast<VerdictStatus>(s)));
    }
    text += row.name + ": " + (line.empty() ? "no samples" : line) + "\n";
  }
  return text;
}

}  // namespace temper
