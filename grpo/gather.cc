#include "grpo/gather.h"

#include <cmath>

#include "core/error.h"
#include "grpo/advantage.h"
#include "grpo/collect.h"

namespace temper {
namespace {

bool has_signal(const GrpoGroup& group) {
  std::vector<double> rewards;
  for (const GrpoSample& s : group.samples) {
    if (!s.reward.judged) return false;
    rewards.push_back(s.reward.value);
  }
  return !is_zero_signal(rewards);
}

bool was_judged(const GrpoGroup& group) {
  for (const GrpoSample& s : group.samples)
    if (!s.reward.judged) return false;
  return true;
}

}  // namespace

int64_t choose_groups(const GrpoOptions& o, std::vector<GrpoGroup>& groups) {
  int64_t with_signal = 0, taken = 0;
  for (const GrpoGroup& group : groups) with_signal += has_signal(group);
  const int64_t room = o.prompts_per_step;
  // A batch that is not over-sampled is the batch, whatever the rewards say.
  const bool all = !o.dynamic_sampling && static_cast<int64_t>(groups.size()) <= room;
  if (all) return with_signal;
  for (GrpoGroup& group : groups) {
    group.dropped.clear();
    if (!has_signal(group)) continue;
    if (taken++ >= room) group.dropped = "the batch was full";
  }
  for (GrpoGroup& group : groups) {
    if (has_signal(group) || !was_judged(group)) continue;
    const bool fill = !o.dynamic_sampling && taken < room;
    if (fill) ++taken;
    if (!fill) group.dropped = "all rewards of the group are equal";
  }
  return with_signal;
}

StepBatch gather_batch(const GrpoJob& job, RolloutEngine& engine, PromptOrder& order,
                       int64_t step) {
  const GrpoOptions& o = job.options;
  const auto count =
      static_cast<int64_t>(std::ceil(static_cast<double>(o.prompts_per_step) * o.oversample));
  const int64_t most = o.dynamic_sampling ? o.max_generations : 1;
  StepBatch batch;
  batch.step = step;
  int64_t with_signal = 0;
  while (batch.generations < most && !job.interrupt.requested()) {
    ++batch.generations;
    std::vector<GrpoGroup> more =
        collect_groups(job, engine, step, order.next(count), batch.groups.size());
    for (GrpoGroup& group : more) batch.groups.push_back(std::move(group));
    const RolloutStats& stats = engine.last_stats();
    batch.steps += stats.steps, batch.starved += stats.starved;
    batch.recording_seconds += stats.recording;
    if (job.interrupt.requested()) break;
    with_signal = choose_groups(o, batch.groups);
    if (with_signal >= o.prompts_per_step) break;
  }
  batch.prompts_drawn = order.drawn();
  if (o.dynamic_sampling && with_signal < o.prompts_per_step && !job.interrupt.requested())
    job.log.warn("step " + std::to_string(step) + ": " + std::to_string(with_signal) + " of " +
                 std::to_string(o.prompts_per_step) + " groups have a signal after " +
                 std::to_string(batch.generations) +
                 " generations (--max-generations); the step goes on with those");
  return batch;
}

}  // namespace temper
