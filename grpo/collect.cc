#include "grpo/collect.h"

#include <algorithm>

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
  out.reward_timeout = o.reward_timeout;
  return out;
}

// A sample that could not be judged, and the component that says why.
struct Unjudged {
  const GrpoJob& job;
  const GrpoGroup& group;
  size_t sample;
  size_t component;

  const Verdict& verdict() const {
    return group.samples[sample].reward.components[component].verdict;
  }
  const std::string& prompt() const { return job.prompts[group.prompt].id; }
  std::string text() const {
    return prompt() + ", sample " + std::to_string(sample) + ": " + job.reward.name(component) +
           " " + std::string(name_of(verdict().status)) + ": " + verdict().reason;
  }
  std::string json() const {
    return "{\"prompt\":" + quote_json(prompt()) + ",\"sample\":" + std::to_string(sample) +
           ",\"rule\":" + quote_json(job.reward.name(component)) + ",\"status\":\"" +
           std::string(name_of(verdict().status)) +
           "\",\"reason\":" + quote_json(verdict().reason) +
           ",\"completion\":" + quote_json(group.samples[sample].text) + "}";
  }
};

std::vector<Unjudged> unjudged_of(const GrpoJob& job, const std::vector<GrpoGroup>& groups) {
  std::vector<Unjudged> found;
  for (const GrpoGroup& group : groups) {
    for (size_t s = 0; s < group.samples.size(); ++s) {
      const auto& components = group.samples[s].reward.components;
      const auto bad = std::find_if(components.begin(), components.end(),
                                    [](const auto& c) { return !was_judged(c.verdict.status); });
      if (bad == components.end()) continue;
      found.push_back({job, group, s, static_cast<size_t>(bad - components.begin())});
    }
  }
  return found;
}

// The step is not recorded, so an event keeps the samples to look at.
void check_judged(const GrpoJob& job, const std::vector<GrpoGroup>& groups, int64_t step) {
  RewardTally tally(job.reward);
  for (const GrpoGroup& group : groups)
    for (const GrpoSample& sample : group.samples) tally.add(sample.reward);
  if (tally.unjudged_share() <= job.options.max_unjudged) return;
  constexpr size_t kShown = 5, kKept = 50;
  const std::vector<Unjudged> unjudged = unjudged_of(job, groups);
  std::string list, json;
  for (size_t i = 0; i < std::min(kKept, unjudged.size()); ++i) {
    if (i < kShown) list += "\n  " + unjudged[i].text();
    json += (i == 0 ? "" : ",") + unjudged[i].json();
  }
  const std::string what = "too many samples could not be judged";
  job.store.add_event(job.run_id, EventLevel::error, what, "{\"samples\":[" + json + "]}", step);
  throw UserError({.what = what,
                   .where = "--reward",
                   .expected = "at most " + option_text(job.options.max_unjudged) +
                               " of a step's samples (--max-unjudged)",
                   .found = std::to_string(tally.unjudged()) + " of " +
                            std::to_string(tally.samples()) + " in step " + std::to_string(step) +
                            "; look at" + list + "\n" + tally.report(),
                   .hint = "mend or remove these rows; the event of this step in run.db has the "
                           "completions; `temper reward audit` tries a rule on all rows"});
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

void compare_groups(const GrpoJob& job, std::vector<GrpoGroup>& groups, int64_t step) {
  check_judged(job, groups, step);
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
