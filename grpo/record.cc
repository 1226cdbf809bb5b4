#include "grpo/record.h"

#include "rollout/record.h"

namespace temper {
namespace {

std::vector<float> to_floats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

// The row of a sample, as far as the generator does not know it.
struct TrainerArrays {
  std::vector<float> trainer, reference, advantages;
  std::vector<uint8_t> mask;
  explicit TrainerArrays(const GrpoSample& s)
      : trainer(to_floats(s.old)),
        reference(to_floats(s.reference)),
        advantages(to_floats(s.token_advantages)),
        mask(s.rollout.ids.size(), s.filtered ? 0 : 1) {}
};

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
  row.experts = s.rollout.experts.experts;
  if (s.reward.judged) row.reward = s.total;
  if (group.used()) row.advantage = s.advantage;
  row.zero_signal = group.zero_signal;
  if (!dropped.empty()) row.dropped = dropped;
  record_sample(writer, &job.reward, s, row);
}

}  // namespace

void record_batch(const GrpoJob& job, StepWriter& writer, const StepBatch& batch) {
  for (size_t g = 0; g < batch.groups.size(); ++g) {
    const GrpoGroup& group = batch.groups[g];
    NewSample row{};
    row.prompt_id = record_prompt(writer, job.prompts[group.prompt]);
    row.group_index = static_cast<int64_t>(g);
    row.policy_version = batch.policy_version;
    for (size_t i = 0; i < group.samples.size(); ++i) {
      row.sample_index = static_cast<int64_t>(i);
      record_one(job, writer, group, group.samples[i], row);
    }
  }
}

}  // namespace temper
