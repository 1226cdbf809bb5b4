#include "reward/preference/trainer.h"

#include <algorithm>
#include <cmath>

#include "core/progress.h"
#include "core/stopwatch.h"
#include "data/batch_order.h"
#include "model/training/loss_scale_metrics.h"
#include "model/training/score_step.h"
#include "model/training/sequence_scores.h"
#include "model/training/step_saver.h"

namespace temper {
namespace {

PreferenceAccuracy measure(const RewardModelJob& job, std::span<const PreferenceExample> examples) {
  return preference_accuracy(examples, score_examples(job, examples), job.options.loss);
}

// One optimiser step; returns the mean loss of its rows. The rows' scores go to `accuracy`.
double run_step(const RewardModelJob& job, TrainStep& step, const std::vector<int64_t>& rows,
                double lr, StepReport& report, PreferenceAccuracy& accuracy) {
  std::vector<PreferenceExample> batch;
  std::vector<int64_t> lengths;
  GlobalCounts counts;
  for (int64_t row : rows) {
    batch.push_back(job.train[static_cast<size_t>(row)]);
    lengths.push_back(batch.back().tokens());
    counts.sequences += static_cast<int64_t>(batch.back().texts.size());
  }
  step.begin(counts);
  double loss = 0.0;
  std::vector<std::vector<double>> scores(batch.size());
  for (const std::vector<size_t>& bin : pack_best_fit(lengths, job.micro_batch_tokens)) {
    std::vector<std::vector<int32_t>> texts;  // a row's answers stay together
    for (size_t i : bin) texts.insert(texts.end(), batch[i].texts.begin(), batch[i].texts.end());
    accumulate_scores(job.ctx, step, job.weights.view, texts, [&](SequenceScores& s) {
      size_t at = 0;
      for (size_t i : bin) {
        const size_t n = batch[i].texts.size();
        const std::span<double> gradient = std::span(s.dscore).subspan(at, n);
        scores[i].assign(s.score.begin() + static_cast<std::ptrdiff_t>(at),
                         s.score.begin() + static_cast<std::ptrdiff_t>(at + n));
        loss += preference_loss(batch[i], scores[i], job.options.loss, gradient) /
                static_cast<double>(batch.size());
        for (double& g : gradient) g /= static_cast<double>(batch.size());
        at += n;
      }
    });
  }
  if (!std::isfinite(loss))
    throw UserError({.what = "the loss is not finite; the weights are as before this step",
                     .hint = "lower --learning-rate or raise --warmup-steps"});
  report = step.finish(lr);
  accuracy = preference_accuracy(batch, scores, job.options.loss);
  return loss;
}

void add_accuracy(StepWriter& writer, const std::string& prefix, const PreferenceAccuracy& a) {
  if (a.pairs > 0) {
    writer.add_metric(prefix + "accuracy", a.accuracy);
    writer.add_metric(prefix + "margin", a.margin);
  }
  writer.add_metric(prefix + "labels", a.labels);
  writer.add_metric(prefix + "mean_score", a.mean_score);
}

void add_heldout(StepWriter& writer, const PreferenceAccuracy& a) {
  add_accuracy(writer, "heldout/", a);
  writer.add_metric("heldout/loss", a.loss);
  writer.add_metric("heldout/separation", a.separation);
  writer.add_metric("heldout/length_correlation", a.length_correlation);
  if (a.pairs == 0) return;
  writer.add_metric("heldout/accuracy_by_length", a.by_length);
  writer.add_metric("heldout/accuracy_where_shorter", a.shorter_accuracy);
}

void add_step_metrics(StepWriter& writer, double loss, const StepReport& report, bool moe) {
  writer.add_metric("loss", loss);
  writer.add_metric("grad_norm", report.grad_norm);
  writer.add_metric("lr", report.lr);
  add_loss_scale(writer, report);
  if (!moe) return;
  writer.add_metric("balance_loss", report.balance_loss);
  writer.add_metric("load_max_over_mean", report.load_max_over_mean);
}

void add_lengths(StepWriter& writer, const LengthReport& r) {
  writer.add_metric("length/good", r.good_tokens);
  writer.add_metric("length/bad", r.bad_tokens);
  if (r.pairs > 0) writer.add_metric("length/better_longer", r.better_longer);
  writer.add_metric("length/cut", static_cast<double>(r.cut));
}

}  // namespace

std::vector<std::vector<double>> score_examples(const RewardModelJob& job,
                                                std::span<const PreferenceExample> examples) {
  std::vector<std::vector<int32_t>> texts;
  for (const PreferenceExample& e : examples)
    texts.insert(texts.end(), e.texts.begin(), e.texts.end());
  const std::vector<double> scores =
      sequence_scores(job.ctx, job.weights.view, job.config, texts, job.micro_batch_tokens);
  std::vector<std::vector<double>> out;
  auto next = scores.begin();
  for (const PreferenceExample& e : examples) {
    const auto end = next + static_cast<std::ptrdiff_t>(e.texts.size());
    out.emplace_back(next, end);
    next = end;
  }
  return out;
}

RewardModelResult train_reward_model(const RewardModelJob& job) {
  const RewardModelOptions& o = job.options;
  BatchOrder order(static_cast<int64_t>(job.train.size()), o.batch_size, o.training.seed);
  const int64_t total = o.max_steps > 0 ? o.max_steps : o.epochs * order.steps_per_epoch();
  const Schedule schedule = schedule_of(o.training, total);
  TrainStep step(job.ctx, job.config, job.weights, train_options_of(o.training));

  const auto sound = [&] {
    const std::vector<double> scores = score_examples(job, job.train.first(1))[0];
    return std::all_of(scores.begin(), scores.end(), [](double x) { return std::isfinite(x); });
  };
  StepSaver saver(
      {job.store,
       {job.run_id, "reward-model", 0},
       step,
       sound,
       [&](StepWriter& writer, int64_t at) { job.save(writer, step.optimizer(), {.step = at}); },
       job.save != nullptr});
  RewardModelResult result;
  if (!job.heldout.empty()) result.before = measure(job, job.heldout);
  Progress progress(job.log, {.label = "reward-model", .total = total});
  int64_t tokens = 0;
  double seconds = 0.0;
  for (int64_t i = 0; i < total && !result.interrupted; ++i) {
    const Stopwatch watch;
    StepReport report;
    PreferenceAccuracy batch;
    saver.attempt(i, [&] {
      result.loss = run_step(job, step, order.batch(i), learning_rate(schedule, i), report, batch);
    });
    StepWriter writer(job.store, {job.run_id, "reward-model", i + 1}, i);
    seconds += watch.seconds();
    tokens += report.tokens;
    add_step_metrics(writer, result.loss, report, job.config.n_routed_experts > 0);
    add_accuracy(writer, "train/", batch);
    if (i == 0) add_lengths(writer, length_report(job.train));

    result.steps = i + 1;
    result.interrupted = job.interrupt.requested();
    const bool last = i + 1 == total || result.interrupted;
    const bool due = o.eval_every > 0 && (i + 1) % o.eval_every == 0;
    if (!job.heldout.empty() && (due || last)) {
      result.after = measure(job, job.heldout);
      add_heldout(writer, result.after);
    }
    if (last || o.training.saves_behind(i + 1)) saver.save(writer);
    writer.commit({.wall_seconds = watch.seconds(), .trained_tokens = report.tokens});
    saver.check();
    progress.update(i + 1, {{"loss", result.loss}, {"accuracy", batch.accuracy}}, tokens);
  }
  progress.finish();
  result.tokens_per_second = static_cast<double>(tokens) / std::max(1e-9, seconds);
  if (!result.interrupted) result.train = measure(job, job.train);
  return result;
}

}  // namespace temper
