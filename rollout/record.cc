#include "rollout/record.h"

namespace temper {

namespace {

void record_verdicts(StepWriter& writer, int64_t id, const CompositeReward& reward,
                     const RewardResult& result) {
  for (size_t c = 0; c < result.components.size(); ++c) {
    const ComponentVerdict& component = result.components[c];
    const Verdict& verdict = component.verdict;
    if (verdict.status == VerdictStatus::not_asked) continue;
    NewReward row{.rule = reward.name(c),
                  .weight = component.weight,
                  .counted = component.counted,
                  .status = name_of(verdict.status),
                  .microseconds = verdict.microseconds};
    if (was_judged(verdict.status)) row.value = verdict.value;
    if (!verdict.extracted.empty()) row.extracted = verdict.extracted;
    if (!verdict.reason.empty()) row.reason = verdict.reason;
    writer.add_reward(id, row);
  }
}

}  // namespace

int64_t record_prompt(StepWriter& writer, const Prompt& prompt) {
  NewPrompt row{.key = prompt.id, .text = prompt.text, .ids = prompt.ids};
  if (!prompt.gold.empty()) row.reference = prompt.gold;
  if (!prompt.extra.empty()) row.data = prompt.extra;
  return writer.add_prompt(row);
}

int64_t record_sample(StepWriter& writer, const CompositeReward* reward, const JudgedSample& sample,
                      NewSample row) {
  const SampleResult& r = sample.rollout;
  const std::vector<float> logprobs(r.logprobs.begin(), r.logprobs.end());
  row.completion = sample.text;
  row.finish_reason = name_of(r.finish);
  row.ids = r.ids;
  row.rollout_logprobs = logprobs;
  row.truncated = r.finish == FinishReason::length;
  row.queue_seconds = r.first_token_seconds;
  row.generate_seconds = r.seconds - r.first_token_seconds;
  const bool judged = reward != nullptr && !sample.reward.components.empty();
  if (judged && sample.reward.judged && !row.reward) row.reward = sample.reward.value;
  if (judged && !sample.reward.judged) row.dropped = "not judged";
  const int64_t id = writer.add_sample(row);
  if (judged) record_verdicts(writer, id, *reward, sample.reward);
  return id;
}

void record_samples(StepWriter& writer, const SampleJob& job,
                    const std::vector<std::vector<JudgedSample>>& groups) {
  for (size_t g = 0; g < groups.size(); ++g) {
    const int64_t id = record_prompt(writer, job.prompts[g]);
    for (size_t s = 0; s < groups[g].size(); ++s) {
      if (groups[g][s].rollout.finish == FinishReason::cancelled) continue;
      NewSample place{};
      place.prompt_id = id;
      place.group_index = static_cast<int64_t>(g);
      place.sample_index = static_cast<int64_t>(s);
      record_sample(writer, job.reward, groups[g][s], place);
    }
  }
}

void record_reward_messages(Store& store, const StepKey& step, const CompositeReward& reward) {
  for (const RewardMessage& message : reward.take_messages()) {
    store.add_event(step.run_id, EventLevel::warning, message.text,
                    "{\"rule\":" + quote_json(message.component) + "}", step.step);
  }
}

void record_eval(StepWriter& writer, const SampleJob& job, const std::string& task,
                 const EvalReport& report) {
  const EvalSummary& s = report.summary;
  const SampleOptions& o = job.options;
  NewEval row{.task = task,
              .prompts = s.prompts,
              .samples_per_prompt = o.samples,
              .temperature = o.sampling.temperature,
              .top_p = o.sampling.top_p,
              .max_new_tokens = o.max_new_tokens,
              .pass_at_1 = s.pass_at_1,
              .standard_error = s.standard_error,
              .mean_tokens = s.mean_tokens,
              .truncated_rate = s.truncated_rate};
  if (s.format_rate >= 0.0) row.format_rate = s.format_rate;
  const std::string details = eval_details(o, s);
  row.details = details;
  writer.add_eval(row);
  const std::string prefix = "eval/" + task + "/";
  writer.add_metric(prefix + "pass_at_1", s.pass_at_1);
  writer.add_metric(prefix + "standard_error", s.standard_error);
  writer.add_metric(prefix + "mean_reward", s.mean_reward);
  if (s.format_rate >= 0.0) writer.add_metric(prefix + "format_rate", s.format_rate);
  for (const PassAtK& pass : s.pass_at)
    writer.add_metric(prefix + "pass_at_" + std::to_string(pass.k), pass.value.mean);
  if (!s.pass_at.empty())
    writer.add_metric(prefix + "majority_at_" + std::to_string(o.samples), s.majority.mean);
  writer.add_metric(prefix + "unjudged", static_cast<double>(s.unjudged));
  writer.add_metric(prefix + "speed/rollout", report.stats.generated_per_second());
}

}  // namespace temper
