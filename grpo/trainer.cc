#include "grpo/trainer.h"

#include "core/progress.h"
#include "core/stopwatch.h"
#include "grpo/checkpoint.h"
#include "grpo/collect.h"
#include "grpo/early_signs.h"
#include "grpo/metrics.h"
#include "grpo/record.h"
#include "grpo/reference.h"
#include "grpo/rollouts.h"
#include "grpo/totals.h"
#include "grpo/unjudged.h"
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

int64_t completion_tokens(const std::vector<GrpoGroup>& groups) {
  int64_t tokens = 0;
  for (const GrpoGroup& group : groups)
    for (const GrpoSample& s : group.samples) tokens += s.tokens();
  return tokens;
}

// Rollout against trainer; with fresh weights a large difference is worth an event.
Mismatch mismatch_of(const GrpoJob& job, const StepBatch& batch) {
  const Mismatch m = measure_mismatch(batch.groups, loss_params(job.options).correction);
  if (batch.policy_version + 1 < batch.step || !is_alarming(m)) return m;
  const std::string text =
      "rollout and trainer disagree about the same tokens: probabilities differ by " +
      option_text(m.prob_mean) + " on average, KL " + option_text(m.kl);
  job.log.warn("step " + std::to_string(batch.step) + ": " + text);
  job.store.add_event(job.run_id, EventLevel::warning, text, "{}", batch.step);
  return m;
}

struct Totals {
  int64_t generated = 0, trained = 0, steps = 0;
  double rollout_seconds = 0.0, update_seconds = 0.0;
  double database_seconds = 0.0, commit_seconds = 0.0;  // commit: of the last step
};

void add_to_result(GrpoResult& result, Totals& totals, const StepOutcome& outcome) {
  const std::vector<GrpoGroup>& groups = outcome.batch.groups;
  result.steps = outcome.batch.step;
  result.reward_last = mean_reward(groups);
  if (totals.generated == 0) result.reward_first = result.reward_last;
  result.max_mismatch = std::max(result.max_mismatch, outcome.mismatch.max);
  for (const GrpoGroup& group : groups) {
    result.zero_signal_groups += group.zero_signal;
    result.unjudged_groups += !group.judged;
  }
  totals.generated += completion_tokens(groups);
  totals.trained += outcome.update.trained_tokens;
  totals.rollout_seconds += outcome.batch.seconds;
  totals.update_seconds += outcome.update_seconds;
  result.rollout_tokens_per_second =
      static_cast<double>(totals.generated) / std::max(1e-9, totals.rollout_seconds);
  result.train_tokens_per_second =
      static_cast<double>(totals.trained) / std::max(1e-9, totals.update_seconds);
}

void add_database(GrpoResult& result, Totals& totals, double seconds, double whole) {
  totals.database_seconds += seconds;
  const auto steps = static_cast<double>(++totals.steps);
  result.seconds = {.rollout = totals.rollout_seconds / steps,
                    .update = totals.update_seconds / steps,
                    .database = totals.database_seconds / steps,
                    .whole = result.seconds.whole + (whole - result.seconds.whole) / steps};
}

// The checkpoint of the last whole step, when a run ends before its next one is.
void save_committed(const GrpoJob& job, TrainStep& train, const Rollouts& rollouts, int64_t step) {
  StepWriter writer(job.store, {job.run_id, "grpo", step}, StepWriter::Reopen{});
  save_grpo(job, writer, train, rollouts, step);
  writer.commit_additions();
}

}  // namespace

GrpoResult train_grpo(const GrpoJob& job) {
  const GrpoOptions& o = job.options;
  Rollouts rollouts(job);
  TrainStep train(job.ctx, job.config, job.weights, train_options(o));
  GrpoResult result;
  Totals totals;
  Progress progress(job.log, {.label = "grpo", .total = o.steps});
  EarlySigns signs(job);
  int64_t saved_step = restore_grpo(job, train, rollouts);
  result.steps = saved_step;

  for (int64_t step = saved_step + 1; step <= o.steps && !result.interrupted; ++step) {
    Stopwatch whole;
    // 1. Sample and judge.
    std::optional<StepBatch> taken = rollouts.take(step);
    if (!taken) {
      result.interrupted = true;  // the step is incomplete: nothing of it is kept
      if (job.save && result.steps > saved_step) save_committed(job, train, rollouts, result.steps);
      break;
    }
    StepBatch& batch = *taken;
    record_reward_messages(job.store, {job.run_id, "grpo", step}, job.reward);
    check_judged(job, batch.groups, step);
    signs.look(batch);
    // 2. What is compared, and how each sample compares with its group or batch.
    Stopwatch phase;
    set_totals(job, train, batch.groups);
    compare_groups(job, batch.groups);
    // 3. Update the policy; from time to time it becomes the reference.
    const UpdateReport update = update_policy(job, train, batch.groups, step);
    const bool refreshed = refresh_reference(job, train, step);
    const StepOutcome outcome{batch, update, mismatch_of(job, batch), phase.seconds(), refreshed};
    // 4. Commit all that the update used together with its results.
    Stopwatch recording;
    StepWriter writer(job.store, {job.run_id, "grpo", step}, batch.policy_version);
    record_batch(job, writer, batch);
    record_metrics(job, writer, outcome);
    const double database_seconds = recording.seconds() + totals.commit_seconds;
    writer.add_metric("seconds/database", database_seconds);

    add_to_result(result, totals, outcome);
    result.interrupted = job.interrupt.requested();
    const bool last = step == o.steps || result.interrupted;
    if (job.save && (last || (o.save_every > 0 && step % o.save_every == 0))) {
      save_grpo(job, writer, train, rollouts, step);
      saved_step = step;
    }
    Stopwatch commit;
    writer.commit({.wall_seconds = whole.seconds(),
                   .trained_tokens = update.trained_tokens,
                   .generated_tokens = completion_tokens(batch.groups)});
    totals.commit_seconds = commit.seconds();  // known after its step: counted in the next one
    add_database(result, totals, database_seconds, whole.seconds());
    progress.update(
        step, {{"reward", result.reward_last}, {"entropy", update.token_mean(update.sums.entropy)}},
        totals.generated + totals.trained);
  }
  progress.finish();
  return result;
}

}  // namespace temper
