#include "grpo/collect.h"

#include "grpo/advantage.h"
#include "grpo/process.h"
#include "grpo/record.h"

namespace temper {
namespace {

SampleOptions sample_options(const GrpoJob& job, int64_t step) {
  const GrpoOptions& o = job.options;
  SampleOptions out;
  out.samples = o.samples_per_prompt;
  out.max_new_tokens = o.max_new_tokens;
  out.sampling = {o.temperature, o.top_k, o.top_p, o.min_p};
  out.kept = o.keep_sampling_mask;
  out.experts = replays_routing(o, job.config);
  out.seed = static_cast<uint64_t>(o.training.seed);
  out.step = step;
  out.stop_ids = job.stop_ids;
  out.stop_strings = o.stop;
  out.reward_timeout = o.reward_timeout;
  return out;
}

// The batch's groups as what is compared; dropped ones are no part of it.
std::vector<ComparedSample> compared_samples(const std::vector<GrpoGroup>& groups) {
  std::vector<ComparedSample> batch;
  for (size_t g = 0; g < groups.size(); ++g) {
    if (!groups[g].used()) continue;
    for (const GrpoSample& s : groups[g].samples)
      batch.push_back({static_cast<int64_t>(g), s.total, s.filtered ? 0 : s.tokens()});
  }
  return batch;
}

}  // namespace

std::vector<GrpoGroup> collect_groups(const GrpoJob& job, RolloutEngine& engine, int64_t step,
                                      std::span<const size_t> chosen, size_t first) {
  std::vector<Prompt> prompts;
  for (size_t prompt : chosen) prompts.push_back(job.prompts[prompt]);
  SampleJob sampling{.ctx = job.ctx,
                     .engine = engine,
                     .tokenizer = job.tokenizer,
                     .prompts = prompts,
                     .reward = &job.reward,
                     .options = sample_options(job, step),
                     .first_prompt = first,
                     .interrupt = &job.interrupt};
  JudgedSamples sampled = sample_prompts(sampling);
  std::vector<GrpoGroup> groups(chosen.size());
  for (size_t g = 0; g < chosen.size(); ++g) {
    groups[g].prompt = chosen[g];
    for (JudgedSample& judged : sampled.groups[g]) {
      GrpoSample& sample = groups[g].samples.emplace_back();
      static_cast<JudgedSample&>(sample) = std::move(judged);
      sample.total = sample.reward.value;
      // With the mask kept, the distribution that was drawn from is the one that is trained.
      if (job.options.keep_sampling_mask)
        std::swap(sample.rollout.logprobs, sample.rollout.sampled_logprobs);
      round_to_float(sample.rollout.logprobs);
      groups[g].judged = groups[g].judged && sample.reward.judged;
    }
  }
  return groups;
}

void compare_groups(const GrpoJob& job, std::vector<GrpoGroup>& groups) {
  if (job.process_reward != nullptr) return set_process_advantages(job, groups);
  for (GrpoGroup& group : groups) {
    std::vector<double> totals;
    for (const GrpoSample& s : group.samples) totals.push_back(s.total);
    group.zero_signal = group.judged && is_zero_signal(totals);
  }
  const std::vector<double> advantages =
      batch_advantages(job.options.advantage, compared_samples(groups));
  size_t at = 0;
  for (GrpoGroup& group : groups)
    if (group.used())
      for (GrpoSample& s : group.samples) s.advantage = advantages[at++];
}

}  // namespace temper
