#include "rollout/evaluate.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"

namespace temper {

namespace {

// Index of the component `format`, or -1.
int64_t find_format(const CompositeReward& reward) {
  for (size_t c = 0; c < reward.size(); ++c)
    if (reward.spec().components[c].rule == "format") return static_cast<int64_t>(c);
  return -1;
}

const Verdict& verdict_of(const JudgedSample& sample, size_t component) {
  return sample.reward.components[component].verdict;
}
bool is_ok(const JudgedSample& sample, size_t component) {
  return verdict_of(sample, component).status == VerdictStatus::ok;
}

// Sums of the judged samples.
struct Sums {
  double reward = 0.0, tokens = 0.0, truncated = 0.0, format = 0.0;
};

// The judged samples of one prompt.
struct JudgedGroup {
  std::vector<const JudgedSample*> samples;

  int64_t count() const { return static_cast<int64_t>(samples.size()); }
  int64_t right(const CompositeReward& reward) const {
    return std::count_if(samples.begin(), samples.end(), [&](const JudgedSample* s) {
      return is_ok(*s, reward.deciding(s->reward));
    });
  }
  double share(const CompositeReward& reward) const {
    return static_cast<double>(right(reward)) / static_cast<double>(count());
  }
  // Of one component; all samples have the row that says whether it was asked.
  bool asked(size_t component) const {
    return verdict_of(*samples.front(), component).status != VerdictStatus::not_asked;
  }
  double share(size_t component) const {
    const auto ok = std::count_if(samples.begin(), samples.end(),
                                  [&](const JudgedSample* s) { return is_ok(*s, component); });
    return static_cast<double>(ok) / static_cast<double>(count());
  }
  double majority(const CompositeReward& reward) const {
    std::vector<Vote> votes;
    for (const JudgedSample* s : samples) {
      const Verdict& verdict = verdict_of(*s, reward.deciding(s->reward));
      votes.push_back({verdict.extracted, verdict.status == VerdictStatus::ok});
    }
    return majority_is_right(votes).value_or(false) ? 1.0 : 0.0;
  }
};

// The judged samples by prompt, without prompts that have none; counts and sums go along.
std::vector<JudgedGroup> judged_samples(const std::vector<std::vector<JudgedSample>>& groups,
                                        int64_t format, EvalSummary& summary, Sums& sums) {
  std::vector<JudgedGroup> out;
  for (const auto& group : groups) {
    JudgedGroup judged;
    for (const JudgedSample& sample : group) {
      if (sample.rollout.finish == FinishReason::cancelled) {
        ++summary.cancelled;
      } else if (!sample.reward.judged) {
        ++summary.unjudged;
      } else {
        judged.samples.push_back(&sample);
        sums.reward += sample.reward.value;
        sums.tokens += static_cast<double>(sample.rollout.ids.size());
        sums.truncated += sample.rollout.finish == FinishReason::length;
        if (format >= 0) sums.format += is_ok(sample, static_cast<size_t>(format));
      }
    }
    summary.samples += judged.count();
    if (judged.count() > 0) out.push_back(std::move(judged));
  }
  return out;
}

template <class Value>
MeanError mean_over(const std::vector<JudgedGroup>& groups, Value&& value) {
  std::vector<double> values;
  for (const JudgedGroup& group : groups) values.push_back(value(group));
  return mean_with_error(values);
}

std::vector<PassAtK> pass_at_all(const CompositeReward& reward,
                                 const std::vector<JudgedGroup>& groups) {
  int64_t most = 1;
  for (const JudgedGroup& group : groups) most = std::max(most, group.count());
  std::vector<PassAtK> out;
  for (int64_t k = 2; k <= most; k = k < most ? std::min(2 * k, most) : most + 1) {
    std::vector<double> values;
    for (const JudgedGroup& group : groups)
      if (group.count() >= k) values.push_back(pass_at_k(group.count(), group.right(reward), k));
    out.push_back({k, mean_with_error(values)});
  }
  return out;
}

// All components but `format` and their rates; none where there is only one.
std::vector<ComponentRate> component_rates(const CompositeReward& reward,
                                           const std::vector<JudgedGroup>& groups) {
  std::vector<ComponentRate> rates;
  for (size_t c = 0; c < reward.size(); ++c) {
    if (reward.spec().components[c].rule == "format") continue;
    std::vector<double> shares;
    for (const JudgedGroup& group : groups)
      if (group.asked(c)) shares.push_back(group.share(c));
    if (!shares.empty()) rates.push_back({reward.name(c), mean_with_error(shares)});
  }
  if (rates.size() < 2) rates.clear();
  return rates;
}

}  // namespace

EvalSummary summarise(const CompositeReward& reward,
                      const std::vector<std::vector<JudgedSample>>& groups) {
  const int64_t format = find_format(reward);
  EvalSummary summary;
  summary.right = reward.deciding_names();
  Sums sums;
  const std::vector<JudgedGroup> judged = judged_samples(groups, format, summary, sums);
  if (judged.empty()) {
    for (double* rate : {&summary.pass_at_1, &summary.standard_error, &summary.mean_reward,
                         &summary.mean_tokens, &summary.truncated_rate})
      *rate = std::nan("");
    return summary;
  }
  const auto samples = static_cast<double>(summary.samples);
  summary.prompts = static_cast<int64_t>(judged.size());
  const MeanError one = mean_over(judged, [&](const JudgedGroup& g) { return g.share(reward); });
  summary.pass_at_1 = one.mean;
  summary.standard_error = one.error;
  summary.pass_at = pass_at_all(reward, judged);
  summary.majority = mean_over(judged, [&](const JudgedGroup& g) { return g.majority(reward); });
  summary.components = component_rates(reward, judged);
  summary.mean_reward = sums.reward / samples;
  summary.mean_tokens = sums.tokens / samples;
  summary.truncated_rate = sums.truncated / samples;
  if (format >= 0) summary.format_rate = sums.format / samples;
  return summary;
}

std::string unjudged_reasons(const CompositeReward& reward,
                             const std::vector<std::vector<JudgedSample>>& groups) {
  std::map<std::string, int64_t> counts;
  for (const auto& group : groups)
    for (const JudgedSample& sample : group)
      for (size_t c = 0; c < sample.reward.components.size(); ++c) {
        const Verdict& verdict = sample.reward.components[c].verdict;
        if (!could_not_judge(verdict.status)) continue;
        ++counts[reward.name(c) + ", " + std::string(name_of(verdict.status)) + ": " +
                 verdict.reason];
      }
  std::vector<std::pair<int64_t, std::string>> sorted;
  for (const auto& [reason, count] : counts) sorted.emplace_back(count, reason);
  std::sort(sorted.rbegin(), sorted.rend());
  constexpr size_t kShown = 5;
  std::string text;
  for (size_t i = 0; i < std::min(kShown, sorted.size()); ++i)
    text += (i > 0 ? "\n" : "") + std::to_string(sorted[i].first) + " x " + sorted[i].second;
  if (sorted.size() > kShown)
    text += "\nand " + std::to_string(sorted.size() - kShown) + " more reasons";
  return text;
}

EvalReport evaluate(const SampleJob& job) {
  require(job.reward != nullptr, "an evaluation needs a reward");
  EvalReport report;
  report.samples = sample_prompts(job);
  report.stats = report.samples.stats;
  report.summary = summarise(*job.reward, report.samples.groups);
  return report;
}

}  // namespace temper
