#include "grpo/rollouts.h"

#include "core/stopwatch.h"
#include "grpo/gather.h"
#include "grpo/metrics.h"

namespace temper {
namespace {

PromptOrder order_of(const GrpoJob& job, int64_t drawn) {
  return {job.prompts.size(), static_cast<uint64_t>(job.options.training.seed), drawn};
}

}  // namespace

Rollouts::Rollouts(const GrpoJob& job)
    : job_(job),
      engine_(job.ctx, job.weights.view, job.config,
              {.max_samples = job.options.rollout_batch,
               .cache_bytes = job.options.cache_memory << 20}),
      order_(order_of(job, 0)) {}

std::optional<StepBatch> Rollouts::take(int64_t step) {
  if (job_.stored_batch) return job_.stored_batch(step);
  const int64_t drawn = order_.drawn();
  const bool waited = ahead_.has_value();
  std::optional<StepBatch> batch = waited ? std::move(ahead_) : sample(step, step - 1);
  ahead_.reset();
  const bool stale = job_.options.staleness > 0 && step < job_.options.steps;
  if (batch && stale) ahead_ = sample(step + 1, step - 1);
  if (batch && (ahead_ || !stale)) return batch;
  // The next batch must come of these weights, which an update would take away.
  ahead_.reset();
  if (waited) ahead_ = std::move(batch);
  order_ = order_of(job_, drawn);
  return std::nullopt;
}

void Rollouts::resume(int64_t drawn, std::optional<StepBatch> ahead) {
  order_ = order_of(job_, drawn);
  ahead_ = std::move(ahead);
}

std::optional<StepBatch> Rollouts::sample(int64_t step, int64_t policy_version) {
  const Stopwatch watch;
  StepBatch batch = gather_batch(job_, engine_, order_, step);
  if (job_.interrupt.requested()) return std::nullopt;
  batch.policy_version = policy_version;
  const RolloutStats& stats = engine_.last_stats();
  batch.cache_bytes = stats.cache_bytes;
  batch.cache_share = static_cast<double>(stats.peak_blocks) /
                      static_cast<double>(std::max<int64_t>(1, stats.blocks));
  batch.seconds = watch.seconds() - seconds_after_rollout(job_.reward, batch.groups);
  return batch;
}

}  // namespace temper
