#include "grpo/trainer.h"

#include "core/progress.h"
#include "core/stopwatch.h"
#include "grpo/checkpoint.h"
#include "grpo/collect.h"
#include "grpo/early_signs.h"
#include "grpo/failed_update.h"
#include "grpo/metrics.h"
#include "grpo/recorder.h"
#include "grpo/reference.h"
#include "grpo/rollouts.h"
#include "grpo/totals.h"
#include "grpo/unjudged.h"
#include "grpo/update.h"
#include "model/checkpoint/weights_checksum.h"
#include "model/training/step_saver.h"
#include "rollout/record.h"

namespace temper {
namespace {

TrainOptions train_options(const GrpoOptions& o) {
  TrainOptions t = train_options_of(o.training);
  t.temperature = o.temperature;  // the loss sees the distribution that was sampled
  t.entropy = true;
  return t;
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

// Sums over the steps of this call.
struct Totals {
  int64_t generated = 0, trained = 0, steps = 0;
  StepSeconds seconds;
};

// What the progress line says of a step; a step without a token to train on has no entropy.
std::vector<Figure> shown_of(const GrpoResult& result, const UpdateReport& update) {
  std::vector<Figure> figures{{"reward", result.reward_last}};
  if (update.trained_tokens > 0)
    figures.push_back({"entropy", update.token_mean(update.sums.entropy)});
  return figures;
}

void add_tokens(GrpoResult& result, Totals& totals, const StepOutcome& outcome) {
  const std::vector<GrpoGroup>& groups = outcome.batch.groups;
  result.steps = outcome.batch.step;
  result.reward_last = mean_reward(groups);
  if (totals.generated == 0) result.reward_first = result.reward_last;
  result.max_mismatch = std::max(result.max_mismatch, outcome.mismatch.max);
  for (const GrpoGroup& group : groups) {
    result.zero_signal_groups += group.zero_signal;
    result.unjudged_groups += !group.judged;
    for (const GrpoSample& s : group.samples) totals.generated += s.tokens();
  }
  totals.trained += outcome.update.trained_tokens;
}

void add_seconds(GrpoResult& result, Totals& totals, const StepOutcome& outcome, double whole) {
  StepSeconds& sum = totals.seconds;
  sum.rollout += outcome.batch.seconds;
  sum.update += outcome.update_seconds;
  sum.database += outcome.database_seconds;
  sum.whole += whole;
  const auto steps = static_cast<double>(++totals.steps);
  result.seconds = {sum.rollout / steps, sum.update / steps, sum.database / steps,
                    sum.whole / steps};
  result.rollout_tokens_per_second =
      static_cast<double>(totals.generated) / std::max(1e-9, sum.rollout);
  result.train_tokens_per_second = static_cast<double>(totals.trained) / std::max(1e-9, sum.update);
}

// Of the weights after a step. Weights of a device are not fetched for this alone.
std::optional<std::string> checksum_of(const GrpoJob& job, TrainStep& train, bool saves) {
  if (job.ctx.device != Device::cpu && !saves && !job.stored_batch) return std::nullopt;
  return weights_checksum(job.ctx, job.weights, train.optimizer().low.view);
}

int64_t last_step(const GrpoJob& job) {
  return job.last_step > 0 ? job.last_step : job.options.steps;
}

// Whether a checkpoint is due behind the step.
bool saves_behind(const GrpoJob& job, int64_t step, bool interrupted) {
  return job.save &&
         (step == last_step(job) || interrupted || job.options.training.saves_behind(step));
}

// Makes one step: all but its place in the database. Nothing if the run is interrupted before the
// update.
std::optional<StepOutcome> make_step(const GrpoJob& job, Rollouts& rollouts, TrainStep& train,
                                     StepRecorder& recorder, EarlySigns& signs, int64_t step) {
  // 1. Sample and judge; meanwhile the rows of the step before are written.
  std::optional<StepBatch> taken = rollouts.take(step);
  recorder.finish();
  if (!taken) return {};
  StepOutcome outcome{.batch = std::move(*taken)};
  std::vector<GrpoGroup>& groups = outcome.batch.groups;
  record_reward_messages(job.store, {job.run_id, "grpo", step}, job.reward);
  check_judged(job, groups, step);
  if (!job.stored_batch) signs.look(outcome.batch);
  // 2. What is compared, and how each sample compares with its group or batch.
  Stopwatch phase;
  set_totals(job, train, groups);
  outcome.scoring_seconds = phase.seconds();
  compare_groups(job, groups);
  // 3. Update the policy; from time to time it becomes the reference.
  const int64_t updates = train.optimizer().step;
  try {
    outcome.update = update_policy(job, train, groups, step);
  } catch (const UserError& error) {
    throw failed_update(job, groups, step, train.optimizer().step - updates, error);
  }
  outcome.scoring_seconds += outcome.update.scoring_seconds;
  outcome.reference_refreshed = refresh_reference(job, train, step);
  outcome.mismatch = mismatch_of(job, outcome.batch);
  outcome.update_seconds = phase.seconds();
  outcome.database_seconds = recorder.take_waited();
  return outcome;
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
  StepRecorder recorder(job);
  result.steps = restore_grpo(job, train, rollouts);
  int64_t drawn = rollouts.drawn();  // prompts, up to the last whole step
  StepSaver saver(
      {job.store,
       {job.run_id, "grpo", result.steps},
       train,
       [&] { return gives_numbers(train, job.weights.view, job.prompts[0].ids); },
       [&](StepWriter& writer, int64_t at) { save_grpo(job, writer, train, rollouts, at); },
       job.save != nullptr});

  for (int64_t step = result.steps + 1; step <= last_step(job) && !result.interrupted; ++step) {
    Stopwatch whole;
    std::optional<StepOutcome> made;
    saver.attempt(step - 1, [&] {
      try {
        made = make_step(job, rollouts, train, recorder, signs, step);
      } catch (...) {
        recorder.finish();           // the step before is whole
        rollouts.resume(drawn, {});  // and this one's prompts are yet to be drawn
        throw;
      }
    });
    if (!made) {
      result.interrupted = true;  // the step is incomplete: nothing of it is kept
      saver.save_committed(result.steps);
      break;
    }
    StepOutcome& outcome = *made;
    drawn = outcome.batch.prompts_drawn;

    add_tokens(result, totals, outcome);
    add_seconds(result, totals, outcome, whole.seconds());
    progress.update(step, shown_of(result, outcome.update), totals.generated + totals.trained);
    // 4. Commit all that the update used together with its results.
    result.interrupted = job.interrupt.requested();
    const bool saves = saves_behind(job, step, result.interrupted);
    outcome.weights_checksum = checksum_of(job, train, saves);
    if (saves) {
      recorder.record(outcome, whole.seconds(), [&](StepWriter& writer) { saver.save(writer); });
      saver.check();
    } else {
      recorder.begin(std::move(outcome), whole.seconds());
    }
  }
  recorder.finish();
  progress.finish();
  return result;
}

}  // namespace temper
