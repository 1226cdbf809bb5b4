#include "sft/trainer.h"

#include <cmath>

#include "core/progress.h"
#include "core/stopwatch.h"
#include "model/training/machine_metrics.h"
#include "model/training/micro_batches.h"
#include "model/training/step_saver.h"
#include "sft/loss.h"

namespace temper {
namespace {

TrainSequence to_sequence(const Sample& sample) {
  return {sample.ids, sample.mask};
}

// Which samples each step trains on: the epochs cut into batches; the last batch of an epoch may be
// smaller.
class BatchOrder {
 public:
  explicit BatchOrder(const SftJob& job)
      : mixture_(parts_of(job), static_cast<uint64_t>(job.options.training.seed)),
        batch_(job.options.batch_size),
        per_epoch_((mixture_.size() + batch_ - 1) / batch_) {}

  int64_t steps_per_epoch() const { return per_epoch_; }

  std::vector<int64_t> batch(int64_t step) {
    const int64_t epoch = step / per_epoch_, index = step % per_epoch_;
    if (epoch != epoch_) order_ = mixture_.epoch(epoch), epoch_ = epoch;
    const int64_t begin = index * batch_, end = std::min(begin + batch_, mixture_.size());
    return {order_.begin() + begin, order_.begin() + end};
  }

 private:
  static std::vector<MixturePart> parts_of(const SftJob& job) {
    if (!job.parts.empty()) return {job.parts.begin(), job.parts.end()};
    return {{static_cast<int64_t>(job.train.size()), 0.0}};
  }

  Mixture mixture_;
  int64_t batch_, per_epoch_, epoch_ = -1;
  std::vector<int64_t> order_;
};

// One optimiser step over the batch; returns its loss.
double run_step(const SftJob& job, TrainStep& step, std::span<const TrainSequence> batch, double lr,
                StepReport& report) {
  const double normaliser = static_cast<double>(count_targets(batch));
  step.begin(count_global(batch, static_cast<int64_t>(job.weights.view.mtp.size())));
  for (const auto& part : micro_batches(batch, job.micro_batch_tokens))
    step.accumulate_linear(part, sft_gradient(part, normaliser));
  report = step.finish(lr);
  return report.loss;
}

void add_step_metrics(StepWriter& writer, double loss, const StepReport& report, bool moe) {
  writer.add_metric("loss", loss);
  writer.add_metric("grad_norm", report.grad_norm);
  writer.add_metric("lr", report.lr);
  if (report.mtp_loss != 0.0) writer.add_metric("mtp_loss", report.mtp_loss);
  if (!moe) return;
  writer.add_metric("balance_loss", report.balance_loss);
  writer.add_metric("load_max_over_mean", report.load_max_over_mean);
}

MachineWork work_of(const StepReport& report, std::span<const TrainSequence> batch,
                    double seconds) {
  const auto tokens = static_cast<double>(report.tokens);
  return {tokens, tokens / (2.0 * static_cast<double>(batch.size())), seconds};
}

}  // namespace

double heldout_loss(const SftJob& job, TrainStep& step) {
  std::vector<TrainSequence> all;
  for (const Sample& s : job.heldout) all.push_back(to_sequence(s));
  const double normaliser = static_cast<double>(count_targets(all));
  double loss = 0.0;
  for (const auto& part : micro_batches(all, job.micro_batch_tokens)) {
    TokenLoss tokens = step.score(job.weights.view, part);
    for (const TrainSequence& s : part) tokens.dlogprob.emplace_back(s.ids.size(), 0.0);
    loss += sft_loss(tokens, part, normaliser);
  }
  return loss;
}

SftResult train_sft(const SftJob& job) {
  const SftOptions& o = job.options;
  BatchOrder order(job);
  const int64_t total = o.max_steps > 0 ? o.max_steps : o.epochs * order.steps_per_epoch();
  const Schedule schedule = schedule_of(o.training, total);
  TrainStep step(job.ctx, job.config, job.weights, train_options_of(o.training));

  SftResult result;
  if (job.resume != nullptr) {
    OptimizerState& optimizer = step.optimizer();
    optimizer.step = job.resume->restore(job.ctx, job.weights, job.config,
                                         {optimizer.low.view, optimizer.m.view, optimizer.v.view});
    result.steps = job.resume->step();
  }
  StepSaver saver(
      {job.store,
       {job.run_id, "sft", result.steps},
       step,
       [&] { return gives_numbers(step, job.weights.view, job.train[0].ids); },
       [&](StepWriter& writer, int64_t at) { job.save(writer, step.optimizer(), {.step = at}); },
       job.save != nullptr});
  if (!job.heldout.empty()) result.heldout_before = heldout_loss(job, step);
  Progress progress(job.log, {.label = "sft", .total = total});
  const MachineMetrics machine(job.ctx, job.config, job.weights.storage.view.dtype);
  const Stopwatch whole;
  int64_t tokens = 0;
  for (int64_t i = result.steps; i < total && !result.interrupted; ++i) {
    const Stopwatch step_time;
    std::vector<TrainSequence> batch;
    for (int64_t index : order.batch(i))
      batch.push_back(to_sequence(job.train[static_cast<size_t>(index)]));
    StepReport report;
    saver.attempt(
        i, [&] { result.loss = run_step(job, step, batch, learning_rate(schedule, i), report); });
    StepWriter writer(job.store, {job.run_id, "sft", i + 1}, i);
    tokens += report.tokens;
    add_step_metrics(writer, result.loss, report, job.config.n_routed_experts > 0);
    if (const auto norm = update_norm(step.optimizer())) writer.add_metric("update_norm", *norm);
    machine.add_training(writer, work_of(report, batch, step_time.seconds()));
    machine.add_memory(writer);

    result.steps = i + 1;
    result.interrupted = job.interrupt.requested();
    const bool last = i + 1 == total || result.interrupted;
    const bool measure = o.eval_every > 0 && (i + 1) % o.eval_every == 0;
    if (!job.heldout.empty() && (measure || last)) {
      result.heldout_after = heldout_loss(job, step);
      writer.add_metric("heldout_loss", result.heldout_after);
    }
    if (last || (o.save_every > 0 && (i + 1) % o.save_every == 0)) saver.save(writer);
    writer.commit({.wall_seconds = step_time.seconds(), .trained_tokens = report.tokens});
    saver.check();
    progress.update(i + 1, {{"loss", result.loss}}, tokens);
  }
  progress.finish();
  result.tokens_per_second = static_cast<double>(tokens) / std::max(1e-9, whole.seconds());
  return result;
}

}  // namespace temper
