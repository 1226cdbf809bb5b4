#include "distill/collect.h"

#include <algorithm>

#include "core/progress.h"
#include "data/store_reader.h"
#include "rollout/record.h"

namespace temper {
namespace {

void commit_step(const CollectJob& job, int64_t step, std::span<const Prompt> prompts,
                 const JudgedSamples& samples) {
  const StepKey key{job.run.run_id, job.run.kind, step};
  record_reward_messages(job.store, key, job.reward);
  StepWriter writer(job.store, key, 0);
  for (size_t g = 0; g < samples.groups.size(); ++g) {
    const int64_t prompt = record_prompt(writer, prompts[g]);
    for (size_t s = 0; s < samples.groups[g].size(); ++s) {
      NewSample place{};
      place.prompt_id = prompt;
      place.group_index = static_cast<int64_t>(g);
      place.sample_index = static_cast<int64_t>(s);
      record_sample(writer, &job.reward, samples.groups[g][s], place);
    }
  }
  writer.add_metric("speed/rollout", samples.stats.generated_per_second());
  writer.commit({.wall_seconds = samples.stats.seconds,
                 .trained_tokens = {},
                 .generated_tokens = samples.stats.generated_tokens});
}

}  // namespace

CollectResult collect_samples(const CollectJob& job) {
  const auto last = last_step(job.store.database(), job.run.run_id, job.run.kind);
  int64_t step = last ? last->key.step : 0;
  const auto total = static_cast<int64_t>(job.prompts.size());
  CollectResult result;
  Progress progress(job.log, {.label = job.run.kind, .total = total, .unit = "prompt"});
  for (int64_t begin = step * job.prompts_per_step; begin < total; begin += job.prompts_per_step) {
    const int64_t count = std::min(total - begin, job.prompts_per_step);
    const auto prompts =
        job.prompts.subspan(static_cast<size_t>(begin), static_cast<size_t>(count));
    const JudgedSamples samples = job.teacher.sample(prompts, static_cast<size_t>(begin));
    result.interrupted = job.interrupt.requested();
    if (result.interrupted) break;  // the step may be incomplete: nothing of it is kept
    commit_step(job, ++step, prompts, samples);
    result.samples += samples.stats.finished;
    result.tokens += samples.stats.generated_tokens;
    result.seconds += samples.stats.seconds;
    progress.update(begin + count, {}, result.tokens);
  }
  progress.finish();
  return result;
}

}  // namespace temper
