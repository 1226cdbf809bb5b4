#include "grpo/record.h"

#include <algorithm>
#include <cmath>

#include "rollout/record.h"

namespace temper {
namespace {

std::vector<float> to_floats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

// The row of a sample, as far as the generator does not know it.
struct TrainerArrays {
  std::vector<float> trainer, reference;
  std::vector<uint8_t> mask;
  explicit TrainerArrays(const GrpoSample& s)
      : trainer(to_floats(s.old)),
        reference(to_floats(s.reference)),
        mask(s.rollout.ids.size(), 1) {}
};

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

void record_groups(const GrpoJob& job, StepWriter& writer, const std::vector<GrpoGroup>& groups,
                   int64_t policy_version) {
  for (size_t g = 0; g < groups.size(); ++g) {
    const GrpoGroup& group = groups[g];
    const int64_t prompt_id = record_prompt(writer, job.prompts[group.prompt]);
    for (size_t i = 0; i < group.samples.size(); ++i) {
      const GrpoSample& s = group.samples[i];
      const TrainerArrays arrays(s);
      NewSample row{};
      row.prompt_id = prompt_id;
      row.group_index = static_cast<int64_t>(g);
      row.sample_index = static_cast<int64_t>(i);
      row.policy_version = policy_version;
      row.loss_mask = arrays.mask;
      row.trainer_logprobs = arrays.trainer;
      row.reference_logprobs = arrays.reference;
      if (group.judged) row.advantage = s.advantage;
      row.zero_signal = group.zero_signal;
      if (!group.judged) row.dropped = "a sample of the group could not be judged";
      record_sample(writer, &job.reward, s, row);
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
  writer.add_metric("seconds/update", seconds.update);
}

}  // namespace temper
