#include "grpo/record.h"

#include <algorithm>

#include "rollout/record.h"

namespace temper {
namespace {

std::vector<float> to_floats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

// The row of a sample, as far as the generator does not know it.
struct TrainerArrays {
  std::vector<float> trainer, reference, advantages, entropies;
  std::vector<uint8_t> mask, clips;
  explicit TrainerArrays(const GrpoSample& s)
      : trainer(to_floats(s.old)),
        reference(to_floats(s.reference)),
        advantages(to_floats(s.token_advantages)),
        entropies(to_floats(s.entropy)),
        mask(s.rollout.ids.size(), s.filtered ? 0 : 1) {
    const auto bound = [](uint8_t bits) { return bits != 0; };
    if (std::any_of(s.clips.begin(), s.clips.end(), bound)) clips = s.clips;
  }
};

// The prompt's part of the group's traces, if it is the same in all: a group that shared no cache
// may have computed its prompt more than once, and near ties then go either way.
std::span<const uint16_t> shared_experts(const GrpoGroup& group, size_t prompt_tokens) {
  std::span<const uint16_t> shared;
  for (const GrpoSample& s : group.samples) {
    const std::span<const uint16_t> trace = s.rollout.experts.experts;
    const size_t length = prompt_tokens * static_cast<size_t>(s.rollout.experts.per_token);
    if (length == 0 || trace.size() <= length) return {};
    if (shared.empty()) shared = trace.first(length);
    if (!std::equal(shared.begin(), shared.end(), trace.begin())) return {};
  }
  return shared;
}

// Whether sample `number` of a step is one of the `logged` that keep their arrays, evenly spread.
bool is_logged(int64_t number, int64_t samples, int64_t logged) {
  logged = std::min(logged, samples);
  return (number + 1) * logged / samples > number * logged / samples;
}

// Why the optimiser did not use the sample; empty: it did.
std::string reason_dropped(const GrpoGroup& group, const GrpoSample& s) {
  if (!group.judged) return "a sample of the group could not be judged";
  if (!group.dropped.empty()) return group.dropped;
  return s.filtered ? "cut off at the length limit" : "";
}

void record_one(const GrpoJob& job, StepWriter& writer, const GrpoGroup& group, const GrpoSample& s,
                NewSample row) {
  const TrainerArrays arrays(s);
  const std::string dropped = reason_dropped(group, s);
  row.loss_mask = arrays.mask;
  row.trainer_logprobs = arrays.trainer;
  row.reference_logprobs = arrays.reference;
  row.token_advantages = arrays.advantages;
  row.kept_counts = s.rollout.kept.counts;
  row.kept_ids = s.rollout.kept.ids;
  row.entropies = arrays.entropies;
  row.clips = arrays.clips;
  if (s.reward.judged) row.reward = s.total;
  if (group.used()) row.advantage = s.advantage;
  row.zero_signal = group.zero_signal;
  if (!dropped.empty()) row.dropped = dropped;
  record_sample(writer, &job.reward, s, row);
}

}  // namespace

void round_to_float(std::vector<double>& values) {
  for (double& value : values) value = double{static_cast<float>(value)};
}

void record_batch(const GrpoJob& job, StepWriter& writer, const StepBatch& batch) {
  int64_t samples = 0, number = 0;
  for (const GrpoGroup& group : batch.groups) samples += static_cast<int64_t>(group.samples.size());
  const int64_t wanted = logged_samples(job.options), logged = wanted < 0 ? samples : wanted;
  for (size_t g = 0; g < batch.groups.size(); ++g) {
    const GrpoGroup& group = batch.groups[g];
    NewSample row{};
    row.prompt_id = record_prompt(writer, job.prompts[group.prompt]);
    row.group_index = static_cast<int64_t>(g);
    row.policy_version = batch.policy_version;
    const std::span<const uint16_t> shared =
        shared_experts(group, job.prompts[group.prompt].ids.size());
    if (!shared.empty() && logged > 0) writer.add_prompt_experts(row.group_index, shared);
    for (size_t i = 0; i < group.samples.size(); ++i) {
      row.sample_index = static_cast<int64_t>(i);
      row.experts = std::span<const uint16_t>(group.samples[i].rollout.experts.experts)
                        .subspan(shared.size());
      row.keep_tokens = is_logged(number++, samples, logged);
      record_one(job, writer, group, group.samples[i], row);
    }
  }
}

}  // namespace temper
