#include "rollout/sample_prompts.h"

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "reward/scoring_pool.h"
#include "rollout/stop_watch.h"

namespace temper {

namespace {

RolloutRequest make_request(const SampleJob& job, size_t index) {
  const Prompt& prompt = job.prompts[index];
  const SampleOptions& o = job.options;
  const auto length = static_cast<int64_t>(prompt.ids.size());
  if (length >= job.engine.max_length()) {
    throw UserError(
        {.what = "the prompt leaves no room for a completion",
         .where = prompt.id,
         .expected = "fewer than " + std::to_string(job.engine.max_length()) + " tokens",
         .found = std::to_string(length) + " tokens",
         .hint = "leave long prompts out with --max-prompt-tokens"});
  }
  RolloutRequest request;
  request.prompt = prompt.ids;
  request.samples = o.samples;
  request.max_new_tokens = std::min(o.max_new_tokens, job.engine.max_length() - length);
  request.sampling = o.sampling;
  request.stop_ids = o.stop_ids;
  request.kept = o.kept;
  request.experts = o.experts;
  request.key = {.seed = o.seed,
                 .step = static_cast<uint32_t>(o.step),
                 .prompt = static_cast<uint32_t>(job.first_prompt + index)};
  return request;
}

// Ends samples at stop strings.
class StopStrings {
 public:
  explicit StopStrings(const SampleJob& job) : job_(job) {
    const auto samples = static_cast<size_t>(job.options.samples);
    if (!job.options.stop_strings.empty()) watches_.resize(job.prompts.size() * samples);
  }

  // False if the token just drawn completed a stop string.
  bool goes_on(const TokenEvent& event) {
    const auto samples = static_cast<size_t>(job_.options.samples);
    auto& watch = watches_[event.request * samples + static_cast<size_t>(event.sample)];
    if (!watch) watch.emplace(job_.tokenizer, job_.options.stop_strings);
    return !watch->push(event.result.ids.back());
  }

 private:
  const SampleJob& job_;
  std::vector<std::optional<StopWatch>> watches_;
};

std::string text_of(const SampleJob& job, const SampleResult& sample) {
  const std::vector<int32_t>& stops = job.options.stop_ids;
  StopWatch watch(job.tokenizer, job.options.stop_strings);
  for (const int32_t id : sample.ids) {
    if (std::find(stops.begin(), stops.end(), id) == stops.end()) watch.push(id);
  }
  watch.finish();
  return watch.text();
}

// Hands completions to the reward's threads as they are finished.
class Judge {
 public:
  explicit Judge(const SampleJob& job)
      : job_(job),
        pool_(*job.reward,
              {.threads = job.ctx.pool.size(), .patience_seconds = job.options.reward_timeout}) {
    rows_.resize(job.prompts.size());
    places_.resize(job.prompts.size() * static_cast<size_t>(job.options.samples));
  }

  void submit(size_t prompt, size_t sample, const SampleResult& result) {
    if (result.finish == FinishReason::cancelled || place(prompt, sample)) return;
    const Prompt& p = job_.prompts[prompt];
    if (!rows_[prompt]) {
      rows_[prompt] = std::make_shared<const ScoringRow>(
          ScoringRow{p.text, p.gold, parse_json(p.extra.empty() ? "{}" : p.extra, p.id)});
    }
    place(prompt, sample) =
        pool_.submit({.row = rows_[prompt],
                      .completion = text_of(job_, result),
                      .completion_tokens = static_cast<int64_t>(result.ids.size()),
                      .truncated = result.finish == FinishReason::length});
  }

  // Waits for the verdicts and gives each sample its own.
  void finish(std::vector<std::vector<JudgedSample>>& groups) {
    std::vector<RewardResult> results = pool_.finish();
    for (size_t g = 0; g < groups.size(); ++g) {
      for (size_t s = 0; s < groups[g].size(); ++s) {
        if (place(g, s)) groups[g][s].reward = std::move(results[*place(g, s)]);
      }
    }
  }

 private:
  std::optional<size_t>& place(size_t prompt, size_t sample) {
    return places_[prompt * static_cast<size_t>(job_.options.samples) + sample];
  }

  const SampleJob& job_;
  std::vector<std::shared_ptr<const ScoringRow>> rows_;
  std::vector<std::optional<size_t>> places_;  // [prompt][sample] in the pool's results
  ScoringPool pool_;
};

}  // namespace

JudgedSamples sample_prompts(const SampleJob& job) {
  std::vector<RolloutRequest> requests;
  for (size_t i = 0; i < job.prompts.size(); ++i) requests.push_back(make_request(job, i));
  RolloutCallbacks callbacks{.on_step = job.on_step, .interrupt = job.interrupt};
  StopStrings stops(job);
  if (!job.options.stop_strings.empty()) {
    callbacks.on_token = [&](const TokenEvent& event) { return stops.goes_on(event); };
  }
  std::optional<Judge> judge;
  if (job.reward != nullptr) {
    judge.emplace(job);
    callbacks.on_finish = [&](const TokenEvent& event) {
      judge->submit(event.request, static_cast<size_t>(event.sample), event.result);
    };
  }
  RolloutOutput output = job.engine.run(requests, callbacks);
  JudgedSamples samples{.groups = {}, .stats = output.stats};
  samples.groups.resize(requests.size());
  for (size_t g = 0; g < requests.size(); ++g) {
    for (SampleResult& result : output.samples[g]) {
      if (judge) judge->submit(g, samples.groups[g].size(), result);
      JudgedSample& sample = samples.groups[g].emplace_back();
      sample.text = text_of(job, result);
      sample.rollout = std::move(result);
    }
  }
  if (judge) judge->finish(samples.groups);
  return samples;
}

std::vector<int32_t> stop_ids_of(const Tokenizer& tokenizer, int32_t template_stop) {
  std::vector<int32_t> ids = tokenizer.eos_ids();
  const bool known = std::find(ids.begin(), ids.end(), template_stop) != ids.end();
  if (template_stop >= 0 && !known) ids.push_back(template_stop);
  return ids;
}

}  // namespace temper
