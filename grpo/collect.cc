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

RolloutRequest make_request(const GrpoJob& job, size_t prompt, int64_t step) {
  const GrpoOptions& o = job.options;
  RolloutRequest request;
  request.prompt = job.prompts[prompt].ids;
  request.samples = o.samples_per_prompt;
  request.max_new_tokens = o.max_new_tokens;
  request.sampling = {o.temperature, o.top_k, o.top_p, o.min_p};
  request.stop_ids = job.tokenizer.eos_ids();
  request.key = {static_cast<uint64_t>(o.training.seed), static_cast<uint32_t>(step),
                 static_cast<uint32_t>(prompt), 0};
  return request;
}

// What the rewards read: without the token that ended the sample.
std::string completion_text(const Tokenizer& tokenizer, const SampleResult& sample) {
  std::span<const int32_t> ids = sample.ids;
  if (!ids.empty() && tokenizer.is_eos(ids.back())) ids = ids.first(ids.size() - 1);
  return tokenizer.decode(ids);
}

void check_judged(const GrpoJob& job, const RewardTally& tally, std::span<const RewardInput> inputs,
                  std::span<const RewardResult> results) {
  if (tally.unjudged_share() <= job.options.max_unjudged) return;
  std::string reason;
  for (size_t i = 0; i < results.size() && reason.empty(); ++i)
    for (const ComponentVerdict& c : results[i].components)
      if (!was_judged(c.verdict.status)) reason = c.verdict.reason;
  throw UserError({.what = "too many samples could not be judged",
                   .where = "--reward",
                   .expected = "at most " + std::to_string(job.options.max_unjudged) +
                               " of a step's samples (--max-unjudged)",
                   .found = std::to_string(tally.unjudged()) + " of " +
                            std::to_string(inputs.size()) + "; the first: " + reason + "\n" +
                            tally.report(),
                   .hint = "check the data with `temper reward audit`"});
}

}  // namespace

std::vector<GrpoGroup> sample_groups(const GrpoJob& job, RolloutEngine& engine, int64_t step) {
  std::vector<RolloutRequest> requests;
  std::vector<GrpoGroup> groups;
  for (size_t prompt : step_prompts(job, step)) {
    requests.push_back(make_request(job, prompt, step));
    groups.emplace_back().prompt = prompt;
  }
  RolloutCallbacks callbacks;
  callbacks.interrupt = &job.interrupt;
  std::vector<std::vector<SampleResult>> results = engine.run(requests, callbacks).samples;
  for (size_t g = 0; g < groups.size(); ++g)
    for (SampleResult& result : results[g]) {
      GrpoSample& sample = groups[g].samples.emplace_back();
      sample.text = completion_text(job.tokenizer, result);
      sample.rollout = std::move(result);
    }
  return groups;
}

void score_groups(const GrpoJob& job, std::vector<GrpoGroup>& groups) {
  std::vector<Json> rows;  // the data rows, for rules with fields of their own
  for (const GrpoGroup& group : groups)
    rows.push_back(parse_json(job.prompts[group.prompt].extra, job.prompts[group.prompt].id));
  std::vector<RewardInput> inputs;
  for (size_t g = 0; g < groups.size(); ++g)
    for (const GrpoSample& sample : groups[g].samples) {
      const Prompt& prompt = job.prompts[groups[g].prompt];
      inputs.push_back({prompt.text, sample.text, prompt.gold, &rows[g],
                        static_cast<int64_t>(sample.rollout.ids.size()), sample.truncated()});
    }
  const std::vector<RewardResult> results = score_all(job.ctx.pool, job.reward, inputs);
  RewardTally tally(job.reward);
  for (const RewardResult& result : results) tally.add(result);
  check_judged(job, tally, inputs, results);

  size_t next = 0;
  for (GrpoGroup& group : groups) {
    std::vector<double> rewards;
    for (GrpoSample& sample : group.samples) {
      sample.reward = results[next++];
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
