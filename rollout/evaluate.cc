#include "rollout/evaluate.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"

namespace temper {

namespace {

// Index of the first component that satisfies, or -1.
template <class Predicate>
int64_t find_component(const CompositeReward& reward, Predicate&& predicate) {
  for (size_t c = 0; c < reward.size(); ++c) {
    if (predicate(reward.spec().components[c].rule)) return static_cast<int64_t>(c);
  }
  return -1;
}

bool is_ok(const JudgedSample& sample, int64_t component) {
  const auto c = static_cast<size_t>(component);
  return sample.reward.components[c].verdict.status == VerdictStatus::ok;
}

// Sums of the judged samples.
struct Sums {
  double reward = 0.0, tokens = 0.0, truncated = 0.0, format = 0.0;
};

// The judged samples of one prompt.
struct JudgedGroup {
  std::vector<const JudgedSample*> samples;

  int64_t count() const { return static_cast<int64_t>(samples.size()); }
  int64_t right(int64_t component) const {
    return std::count_if(samples.begin(), samples.end(),
                         [&](const JudgedSample* s) { return is_ok(*s, component); });
  }
  double share(int64_t component) const {
    return static_cast<double>(right(component)) / static_cast<double>(count());
  }
  double majority(int64_t component) const {
    std::vector<Vote> votes;
    for (const JudgedSample* s : samples) {
      const Verdict& verdict = s->reward.components[static_cast<size_t>(component)].verdict;
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
        if (format >= 0) sums.format += is_ok(sample, format);
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

std::vector<PassAtK> pass_at_all(const std::vector<JudgedGroup>& groups, int64_t right) {
  int64_t most = 1;
  for (const JudgedGroup& group : groups) most = std::max(most, group.count());
  std::vector<PassAtK> out;
  for (int64_t k = 2; k <= most; k = k < most ? std::min(2 * k, most) : most + 1) {
    std::vector<double> values;
    for (const JudgedGroup& group : groups)
      if (group.count() >= k) values.push_back(pass_at_k(group.count(), group.right(right), k));
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
    const auto component = static_cast<int64_t>(c);
    rates.push_back({reward.name(c), mean_over(groups, [&](const JudgedGroup& group) {
                       return group.share(component);
                     })});
  }
  if (rates.size() < 2) rates.clear();
  return rates;
}

}  // namespace

EvalSummary summarise(const CompositeReward& reward,
                      const std::vector<std::vector<JudgedSample>>& groups) {
  const int64_t format = find_component(reward, [](const auto& rule) { return rule == "format"; });
  int64_t right = find_component(reward, [](const auto& rule) { return rule != "format"; });
  if (right < 0) right = format;
  EvalSummary summary;
  summary.right = reward.name(static_cast<size_t>(right));
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
  const MeanError one = mean_over(judged, [&](const JudgedGroup& g) { return g.share(right); });
  summary.pass_at_1 = one.mean;
  summary.standard_error = one.error;
  summary.pass_at = pass_at_all(judged, right);
  summary.majority = mean_over(judged, [&](const JudgedGroup& g) { return g.majority(right); });
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
        if (was_judged(verdict.status)) continue;
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
