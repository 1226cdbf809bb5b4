#include "grpo/process.h"

#include <algorithm>

#include "core/json.h"
#include "data/streaming_decoder.h"
#include "grpo/advantage.h"
#include "grpo/record.h"
#include "reward/scoring_pool.h"

namespace temper {
namespace {

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

// Ends of the steps in the text, the last one left out.
std::vector<size_t> inner_ends(std::string_view text, std::string_view separator) {
  std::vector<size_t> ends;
  size_t begin = 0;
  for (size_t at = text.find(separator); at != std::string_view::npos;
       at = text.find(separator, at + separator.size())) {
    const size_t end = at + separator.size();
    if (is_blank(text.substr(begin, end - begin)) || is_blank(text.substr(end))) continue;
    ends.push_back(end);
    begin = end;
  }
  return ends;
}

// The steps of a group's samples on their way through the reward.
struct Submitted {
  std::vector<std::vector<CompletionStep>> steps;  // [sample]
  std::vector<std::vector<size_t>> places;         // [sample][step] in the pool's results
};

Submitted submit(const GrpoJob& job, const GrpoGroup& group, ScoringPool& pool) {
  const Prompt& prompt = job.prompts[group.prompt];
  const auto row = std::make_shared<const ScoringRow>(ScoringRow{
      prompt.text, prompt.gold, parse_json(prompt.extra.empty() ? "{}" : prompt.extra, prompt.id)});
  Submitted out;
  for (const GrpoSample& s : group.samples) {
    out.steps.push_back(
        split_steps(job.tokenizer, s.rollout.ids, s.text, job.options.step_separator));
    std::vector<size_t>& places = out.places.emplace_back();
    for (const CompletionStep& step : out.steps.back()) {
      const bool last = &step == &out.steps.back().back();
      places.push_back(pool.submit({.row = row,
                                    .completion = s.text.substr(0, step.length),
                                    .completion_tokens = step.end + 1,
                                    .truncated = last && s.truncated()}));
    }
  }
  return out;
}

void take_group(GrpoGroup& group, const Submitted& submitted,
                const std::vector<RewardResult>& results) {
  std::vector<StepRewards> rewards;
  for (size_t s = 0; s < group.samples.size(); ++s) {
    StepRewards& r = rewards.emplace_back();
    r.tokens = group.samples[s].tokens();
    for (size_t j = 0; j < submitted.steps[s].size(); ++j) {
      const RewardResult& result = results[submitted.places[s][j]];
      group.judged = group.judged && result.judged;
      r.ends.push_back(submitted.steps[s][j].end);
      r.rewards.push_back(result.value);
    }
  }
  if (!group.judged) return;
  const auto advantages = process_advantages(rewards);
  group.zero_signal = true;
  for (size_t s = 0; s < group.samples.size(); ++s) {
    GrpoSample& sample = group.samples[s];
    sample.token_advantages = advantages[s];
    round_to_float(sample.token_advantages);
    sample.advantage = 0.0;
    for (double a : sample.token_advantages) {
      sample.advantage += a / static_cast<double>(sample.token_advantages.size());
      group.zero_signal = group.zero_signal && a == 0.0;
    }
  }
}

}  // namespace

std::vector<CompletionStep> split_steps(const Tokenizer& tokenizer, std::span<const int32_t> ids,
                                        std::string_view text, std::string_view separator) {
  std::vector<CompletionStep> steps;
  const std::vector<size_t> ends = inner_ends(text, separator);
  StreamingDecoder decoder(tokenizer, {.skip_special = false, .at_text_start = false});
  size_t written = 0;
  for (size_t t = 0; t < ids.size() && steps.size() < ends.size(); ++t) {
    written += decoder.push(ids[t]).size();
    // Of several steps that end inside one token, the last one counts.
    size_t reached = steps.size();
    while (reached < ends.size() && ends[reached] <= written) ++reached;
    for (size_t j = steps.size(); j < reached; ++j)
      steps.push_back({static_cast<int64_t>(t), ends[j]});
  }
  const auto last = static_cast<int64_t>(ids.size()) - 1;
  if (last >= 0) steps.push_back({last, text.size()});
  return steps;
}

void set_process_advantages(const GrpoJob& job, std::vector<GrpoGroup>& groups) {
  ScoringPool pool(*job.process_reward, {.threads = job.ctx.pool.size(),
                                         .patience_seconds = job.options.reward_timeout});
  std::vector<GrpoGroup*> used;
  std::vector<Submitted> submitted;
  for (GrpoGroup& group : groups) {
    if (!group.used()) continue;
    used.push_back(&group);
    submitted.push_back(submit(job, group, pool));
  }
  const std::vector<RewardResult> results = pool.finish();
  for (size_t g = 0; g < used.size(); ++g) take_group(*used[g], submitted[g], results);
}

}  // namespace temper
