#include "grpo/record.h"

#include <algorithm>
#include <cmath>

namespace temper {
namespace {

std::vector<float> to_floats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

int64_t record_sample(StepWriter& writer, const GrpoGroup& group, size_t group_index,
                      size_t sample_index, int64_t prompt_id, int64_t policy_version) {
  const GrpoSample& s = group.samples[sample_index];
  const std::vector<float> rollout = to_floats(s.rollout.logprobs), trainer = to_floats(s.old),
                           reference = to_floats(s.reference);
  const std::vector<uint8_t> mask(s.rollout.ids.size(), 1);
  NewSample row;
  row.prompt_id = prompt_id;
  row.group_index = static_cast<int64_t>(group_index);
  row.sample_index = static_cast<int64_t>(sample_index);
  row.policy_version = policy_version;
  row.completion = s.text;
  row.finish_reason = name_of(s.rollout.finish);
  row.ids = s.rollout.ids;
  row.loss_mask = mask;
  row.rollout_logprobs = rollout;
  row.trainer_logprobs = trainer;
  row.reference_logprobs = reference;
  if (s.reward.judged) row.reward = s.reward.value;
  if (group.judged) row.advantage = s.advantage;
  row.zero_signal = group.zero_signal;
  row.truncated = s.truncated();
  if (!group.judged) row.dropped = "a sample of the group could not be judged";
  row.queue_seconds = s.rollout.first_token_seconds;
  row.generate_seconds = s.rollout.seconds - s.rollout.first_token_seconds;
  return writer.add_sample(row);
}

void record_rewards(const CompositeReward& reward, StepWriter& writer, int64_t sample_id,
                    const RewardResult& result) {
  for (size_t c = 0; c < result.components.size(); ++c) {
    const ComponentVerdict& component = result.components[c];
    const Verdict& v = component.verdict;
    NewReward row;
    row.rule = reward.name(c);
    if (was_judged(v.status)) row.value = v.value;
    row.weight = component.weight;
    row.counted = component.counted;
    row.status = name_of(v.status);
    if (!v.extracted.empty()) row.extracted = v.extracted;
    if (!v.reason.empty()) row.reason = v.reason;
    row.microseconds = v.microseconds;
    writer.add_reward(sample_id, row);
  }
}

struct Spread {
  double sum = 0.0, squares = 0.0, least = INFINITY, most = -INFINITY;
  int64_t count = 0;
  void add(double x) {
    sum += x, squares += x * x, ++count;
    least = std::min(least, x), most = std::max(most, x);
  }
  double mean() const { return count ? sum / static_cast<double>(count) : 0.0; }
  double std() const {
    const double m = mean();
    return count ? std::sqrt(std::max(0.0, squares / static_cast<double>(count) - m * m)) : 0.0;
  }
};

void record_sample_metrics(const GrpoJob& job, StepWriter& writer,
                           const std::vector<GrpoGroup>& groups) {
  Spread reward, length, advantage;
  std::vector<Spread> components(job.reward.size());
  int64_t zero = 0, unjudged = 0, truncated = 0;
  for (const GrpoGroup& group : groups) {
    zero += group.zero_signal;
    unjudged += !group.judged;
    for (const GrpoSample& s : group.samples) {
      length.add(static_cast<double>(s.rollout.ids.size()));
      truncated += s.truncated();
      if (s.reward.judged) reward.add(s.reward.value);
      if (group.judged) advantage.add(s.advantage);
      for (size_t c = 0; c < components.size(); ++c)
        if (was_judged(s.reward.components[c].verdict.status))
          components[c].add(s.reward.components[c].verdict.value);
    }
  }
  const double n = static_cast<double>(groups.size());
  writer.add_metric("reward/mean", reward.mean());
  writer.add_metric("reward/std", reward.std());
  writer.add_metric("reward/min", reward.least);
  writer.add_metric("reward/max", reward.most);
  for (size_t c = 0; c < components.size(); ++c)
    writer.add_metric("reward/" + job.reward.name(c) + "/mean", components[c].mean());
  writer.add_metric("groups/zero_signal", static_cast<double>(zero) / n);
  writer.add_metric("groups/unjudged", static_cast<double>(unjudged) / n);
  writer.add_metric("advantage/std", advantage.std());
  writer.add_metric("length/mean", length.mean());
  writer.add_metric("length/max", length.most);
  writer.add_metric("length/truncated",
                    static_cast<double>(truncated) / static_cast<double>(length.count));
}

}  // namespace

Mismatch measure_mismatch(const std::vector<GrpoGroup>& groups) {
  Mismatch out;
  int64_t tokens = 0;
  for (const GrpoGroup& group : groups)
    for (const GrpoSample& s : group.samples)
      for (size_t t = 0; t < s.old.size(); ++t, ++tokens) {
        const double gap = s.rollout.logprobs[t] - s.old[t];
        out.max = std::max(out.max, std::abs(gap));
        out.mean += std::abs(gap);
        out.kl += gap;
      }
  if (tokens > 0) out.mean /= static_cast<double>(tokens), out.kl /= static_cast<double>(tokens);
  return out;
}

double mean_reward(const std::vector<GrpoGroup>& groups) {
  Spread reward;
  for (const GrpoGroup& group : groups)
    for (const GrpoSample& s : group.samples)
      if (s.reward.judged) reward.add(s.reward.value);
  return reward.mean();
}

void record_samples(const GrpoJob& job, StepWriter& writer, const std::vector<GrpoGroup>& groups,
                    int64_t policy_version) {
  for (size_t g = 0; g < groups.size(); ++g) {
    const Prompt& prompt = job.prompts[groups[g].prompt];
    NewPrompt row;
    row.key = prompt.id;
    row.text = prompt.text;
    row.ids = prompt.ids;
    if (!prompt.gold.empty()) row.reference = prompt.gold;
    row.data = prompt.extra;
    const int64_t prompt_id = writer.add_prompt(row);
    for (size_t i = 0; i < groups[g].samples.size(); ++i) {
      const int64_t sample_id = record_sample(writer, groups[g], g, i, prompt_id, policy_version);
      record_rewards(job.reward, writer, sample_id, groups[g].samples[i].reward);
    }
  }
}

void record_metrics(const GrpoJob& job, StepWriter& writer, const std::vector<GrpoGroup>& groups,
                    const UpdateReport& update, const PhaseSeconds& seconds) {
  record_sample_metrics(job, writer, groups);
  const Mismatch mismatch = measure_mismatch(groups);
  writer.add_metric("mismatch/max", mismatch.max);
  writer.add_metric("mismatch/mean", mismatch.mean);
  writer.add_metric("mismatch/kl", mismatch.kl);
  writer.add_metric("policy/loss", update.loss);
  writer.add_metric("policy/kl", update.kl);
  writer.add_metric("policy/entropy", update.entropy);
  writer.add_metric("policy/clip_low", update.clip_fraction_low);
  writer.add_metric("policy/clip_high", update.clip_fraction_high);
  writer.add_metric("policy/ratio_mean", update.ratio_mean);
  writer.add_metric("policy/ratio_max", update.ratio_max);
  writer.add_metric("policy/updates", static_cast<double>(update.updates));
  writer.add_metric("grad_norm", update.last.grad_norm);
  writer.add_metric("lr", update.last.lr);
  if (job.config.n_routed_experts > 0) {
    writer.add_metric("balance_loss", update.last.balance_loss);
    writer.add_metric("load_max_over_mean", update.last.load_max_over_mean);
  }
  writer.add_metric("seconds/rollout", seconds.rollout);
  writer.add_metric("seconds/reward", seconds.reward);
  writer.add_metric("seconds/update", seconds.update);
}

}  // namespace temper
