#include "grpo/collect.h"

#include "data/packing.h"
#include "grpo/advantage.h"
#include "reward/tally.h"

namespace temper {
namespace {

// The prompts of a step: permutations of the data, one after another.
std::vector<size_t> step_prompts(const GrpoJob& job, int64_t step) {
  const int64_t n = static_cast<int64_t>(job.prompts.size());
  const uint64_t seed = static_cast<uint64_t>(job.options.training.seed);
  std::vector<size_t> out;
  std::vector<int64_t> order;
  int64_t epoch = -1;
  for (int64_t i = 0; i < job.options.prompts_per_step; ++i) {
    const int64_t place = (step - 1) * job.options.prompts_per_step + i;
    if (place / n != epoch) epoch = place / n, order = shuffled_order(n, seed, epoch);
    out.push_back(static_cast<size_t>(order[static_cast<size_t>(place % n)]));
  }
  return out;
}

SampleOptions sample_options(const GrpoJob& job, int64_t step) {
  const GrpoOptions& o = job.options;
  SampleOptions out;
  out.samples = o.samples_per_prompt;
  out.max_new_tokens = o.max_new_tokens;
  out.sampling = {o.temperature, o.top_k, o.top_p, o.min_p};
  out.seed = static_cast<uint64_t>(o.training.seed);
  out.step = step;
  out.stop_ids = job.stop_ids;
  out.stop_strings = o.stop;
  return out;
}

void check_judged(const GrpoJob& job, const std::vector<GrpoGroup>& groups) {
  RewardTally tally(job.reward);
  std::string reason;
  for (const GrpoGroup& group : groups)
    for (const GrpoSample& sample : group.samples) {
      tally.add(sample.reward);
      for (const ComponentVerdict& c : sample.reward.components)
        if (!was_judged(c.verdict.status) && reason.empty()) reason = c.verdict.reason;
    }
  if (tally.unjudged_share() <= job.options.max_unjudged) return;
  throw UserError({.what = "too many samples could not be judged",
                   .where = "--reward",
                   .expected = "at most " + option_text(job.options.max_unjudged) +
                               " of a step's samples (--max-unjudged)",
                   .found = std::to_string(tally.unjudged()) + " of " +
                            std::to_string(tally.samples()) + "; the first: " + reason + "\n" +
                            tally.report(),
                   .hint = "check the data with `temper reward audit`"});
}

}  // namespace

std::vector<GrpoGroup> collect_groups(const GrpoJob& job, RolloutEngine& engine, int64_t step) {
  const std::vector<size_t> chosen = step_prompts(job, step);
  std::vector<Prompt> prompts;
  for (size_t prompt : chosen) prompts.push_back(job.prompts[prompt]);
  SampleJob sampling{.ctx = job.ctx,
                     .engine = engine,
                     .tokenizer = job.tokenizer,
                     .prompts = prompts,
                     .reward = &job.reward,
                     .options = sample_options(job, step),
                     .interrupt = &job.interrupt};
  JudgedSamples sampled = sample_prompts(sampling);
  std::vector<GrpoGroup> groups(chosen.size());
  for (size_t g = 0; g < chosen.size(); ++g) {
    groups[g].prompt = chosen[g];
    for (JudgedSample& sample : sampled.groups[g])
      groups[g].samples.push_back({std::move(sample), 0.0, {}, {}});
  }
  return groups;
}

void compare_groups(const GrpoJob& job, std::vector<GrpoGroup>& groups) {
  check_judged(job, groups);
  for (GrpoGroup& group : groups) {
    std::vector<double> rewards;
    for (const GrpoSample& sample : group.samples) {
      group.judged = group.judged && sample.reward.judged;
      rewards.push_back(sample.reward.value);
    }
    if (!group.judged) continue;
    group.zero_signal = is_zero_signal(rewards);
    const std::vector<double> advantages = group_advantages(rewards);
    for (size_t i = 0; i < advantages.size(); ++i) group.samples[i].advantage = advantages[i];
  }
}

}  // namespace temper
