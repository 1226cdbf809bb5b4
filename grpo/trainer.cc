#include "grpo/trainer.h"

#include "core/progress.h"
#include "core/stopwatch.h"
#include "grpo/collect.h"
#include "grpo/record.h"
#include "grpo/update.h"
#include "rollout/record.h"

namespace temper {
namespace {

TrainOptions train_options(const GrpoOptions& o) {
  TrainOptions t = train_options_of(o.training);
  t.temperature = o.temperature;  // the loss sees the distribution that was sampled
  t.entropy = true;
  return t;
}

RolloutEngine make_engine(const GrpoJob& job) {
  return RolloutEngine(job.ctx, job.weights.view, job.config,
                       {.max_samples = job.options.rollout_batch});
}

struct TokenCounts {
  int64_t generated = 0, trained = 0;
};

int64_t completion_tokens(const std::vector<GrpoGroup>& groups) {
  int64_t tokens = 0;
  for (const GrpoGroup& group : groups)
    for (const GrpoSample& s : group.samples) tokens += static_cast<int64_t>(s.rollout.ids.size());
  return tokens;
}

void add_to_result(GrpoResult& result, const std::vector<GrpoGroup>& groups, int64_t step) {
  result.steps = step;
  result.reward_last = mean_reward(groups);
  if (step == 1) result.reward_first = result.reward_last;
  result.max_mismatch = std::max(result.max_mismatch, measure_mismatch(groups).max);
  for (const GrpoGroup& group : groups) {
    result.zero_signal_groups += group.zero_signal;
    result.unjudged_groups += !group.judged;
  }
}

// The checkpoint of the last whole step, when a run ends before its next one is.
void save_committed(const GrpoJob& job, TrainStep& train, int64_t step) {
  StepWriter writer(job.store, {job.run_id, "grpo", step}, StepWriter::Reopen{});
  job.save(writer, step, train.optimizer());
  writer.commit_additions();
}

}  // namespace

GrpoResult train_grpo(const GrpoJob& job) {
  const GrpoOptions& o = job.options;
  RolloutEngine engine = make_engine(job);
  TrainStep train(job.ctx, job.config, job.weights, train_options(o));
  GrpoResult result;
  PhaseSeconds total_seconds;
  TokenCounts total_tokens;
  Progress progress(job.log, {.label = "grpo", .total = o.steps});
  int64_t saved_step = 0;

  for (int64_t step = 1; step <= o.steps && !result.interrupted; ++step) {
    PhaseSeconds seconds;
    Stopwatch whole, phase;
    // 1. Sample with the present weights and judge.   2. Compare within each group.
    std::vector<GrpoGroup> groups = collect_groups(job, engine, step);
    seconds.rollout = phase.lap();
    if (job.interrupt.requested()) {  // the step is incomplete: nothing of it is kept
      result.interrupted = true;
      if (job.save && result.steps > saved_step) save_committed(job, train, result.steps);
      break;
    }
    record_reward_messages(job.store, {job.run_id, "grpo", step}, job.reward);
    compare_groups(job, groups, step);
    phase.lap();
    // 3. Update the policy.   4. Commit all that the update used together with its results.
    const UpdateReport update = update_policy(job, train, groups, step);
    seconds.update = phase.lap();
    StepWriter writer(job.store, {job.run_id, "grpo", step}, step - 1);
    record_groups(job, writer, groups, step - 1);
    record_metrics(job, writer, groups, update, seconds);

    add_to_result(result, groups, step);
    result.interrupted = job.interrupt.requested();
    const bool last = step == o.steps || result.interrupted;
    if (job.save && (last || (o.save_every > 0 && step % o.save_every == 0))) {
      job.save(writer, step, train.optimizer());
      saved_step = step;
    }
    const int64_t generated = completion_tokens(groups);
    writer.commit({.wall_seconds = whole.seconds(),
                   .trained_tokens = update.trained_tokens,
                   .generated_tokens = generated});

    total_seconds.rollout += seconds.rollout;
    total_seconds.update += seconds.update;
    total_tokens.generated += generated;
    total_tokens.trained += update.trained_tokens;
    progress.update(step, {{"reward", result.reward_last}, {"entropy", update.entropy}},
                    total_tokens.generated + total_tokens.trained);
  }
  progress.finish();
  result.rollout_tokens_per_second =
      static_cast<double>(total_tokens.generated) / std::max(1e-9, total_seconds.rollout);
  result.train_tokens_per_second =
      static_cast<double>(total_tokens.trained) / std::max(1e-9, total_seconds.update);
  return result;
}

}  // namespace temper
