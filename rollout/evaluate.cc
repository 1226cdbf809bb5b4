#include "rollout/evaluate.h"

#include <cmath>

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

}  // namespace

EvalSummary summarise(const CompositeReward& reward,
                      const std::vector<std::vector<JudgedSample>>& groups) {
  const int64_t format = find_component(reward, [](const auto& rule) { return rule == "format"; });
  int64_t right = find_component(reward, [](const auto& rule) { return rule != "format"; });
  if (right < 0) right = format;
  EvalSummary summary;
  Sums sums;
  std::vector<double> shares;  // of right samples, a prompt
  for (const auto& group : groups) {
    int64_t judged = 0, ok = 0;
    for (const JudgedSample& sample : group) {
      if (sample.rollout.finish == FinishReason::cancelled) {
        ++summary.cancelled;
      } else if (!sample.reward.judged) {
        ++summary.unjudged;
      } else {
        ++judged;
        ok += is_ok(sample, right);
        sums.reward += sample.reward.value;
        sums.tokens += static_cast<double>(sample.rollout.ids.size());
        sums.truncated += sample.rollout.finish == FinishReason::length;
        if (format >= 0) sums.format += is_ok(sample, format);
      }
    }
    if (judged == 0) continue;
    summary.samples += judged;
    shares.push_back(static_cast<double>(ok) / static_cast<double>(judged));
    summary.pass_at_k += ok > 0;
  }
  if (shares.empty()) return summary;
  const auto n = static_cast<double>(shares.size());
  const auto samples = static_cast<double>(summary.samples);
  summary.prompts = static_cast<int64_t>(shares.size());
  for (const double share : shares) summary.pass_at_1 += share / n;
  double squares = 0.0;
  for (const double share : shares) squares += std::pow(share - summary.pass_at_1, 2);
  summary.standard_error = shares.size() > 1 ? std::sqrt(squares / (n * (n - 1.0))) : 0.0;
  summary.pass_at_k /= n;
  summary.mean_reward = sums.reward / samples;
  summary.mean_tokens = sums.tokens / samples;
  summary.truncated_rate = sums.truncated / samples;
  if (format >= 0) summary.format_rate = sums.format / samples;
  return summary;
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
