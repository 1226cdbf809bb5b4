#include "sft/trainer.h"

#include <cmath>

#include "core/progress.h"
#include "core/stopwatch.h"
#include "model/training/loss_scale_metrics.h"
#include "model/training/machine_metrics.h"
#include "model/training/micro_batches.h"
#include "model/training/step_saver.h"
#include "sft/file_metrics.h"
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

// What one step trained on, and what came of it.
struct SftStep {
  std::vector<int64_t> samples;  // places in job.train
  std::vector<SampleLoss> losses = {};
  int64_t targets = 0, micro_batches = 0;
  StepReport report = {};
};

// One optimiser step over the samples.
SftStep run_step(const SftJob& job, TrainStep& step, std::vector<int64_t> samples, double lr) {
  SftStep out{.samples = std::move(samples)};
  std::vector<TrainSequence> batch;
  for (const int64_t i : out.samples)
    batch.push_back(to_sequence(job.train[static_cast<size_t>(i)]));
  out.targets = count_targets(batch);
  const auto normaliser = static_cast<double>(out.targets);
  step.begin(count_global(batch, static_cast<int64_t>(job.weights.view.mtp.size())));
  std::vector<size_t> order;  // of the samples, as they come
  for (const std::vector<size_t>& bin : micro_batch_indices(batch, job.micro_batch_tokens)) {
    std::vector<TrainSequence> part;
    for (const size_t i : bin) part.push_back(batch[i]);
    step.accumulate_linear(part, sft_gradient(part, normaliser));
    order.insert(order.end(), bin.begin(), bin.end());
    ++out.micro_batches;
  }
  out.report = step.finish(lr);
  out.losses.resize(batch.size());
  auto term = out.report.token_losses.begin();
  for (const size_t i : order) {
    SampleLoss& sample = out.losses[i];
    sample.targets = count_targets({&batch[i], 1});
    for (int64_t t = 0; t < sample.targets; ++t) sample.loss += normaliser * *term++;
  }
  return out;
}

void add_training_metrics(StepWriter& writer, const SftJob& job, TrainStep& step,
                          const StepReport& report) {
  writer.add_metric("loss", report.loss);
  writer.add_metric("grad_norm", report.grad_norm);
  writer.add_metric("lr", report.lr);
  add_loss_scale(writer, report);
  if (report.mtp_loss != 0.0) writer.add_metric("mtp_loss", report.mtp_loss);
  writer.add_metric("update_norm", update_norm(job.ctx, step.optimizer()));
  if (job.config.n_routed_experts == 0) return;
  writer.add_metric("balance_loss", report.balance_loss);
  writer.add_metric("load_max_over_mean", report.load_max_over_mean);
}

BatchWork work_of(const SftJob& job, const SftStep& made, double seconds) {
  return {.samples = static_cast<int64_t>(made.samples.size()),
          .targets = made.targets,
          .tokens = made.report.tokens,
          .micro_batches = made.micro_batches,
          .micro_batch_tokens = job.micro_batch_tokens,
          .seconds = seconds};
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
  const int64_t epoch = order.steps_per_epoch();
  const int64_t total = o.max_steps > 0 ? o.max_steps : o.epochs * epoch;
  const Schedule schedule = schedule_of(o.training, total);
  TrainStep step(job.ctx, job.config, job.weights, train_options_of(o.training));

  SftResult result;
  if (job.resume != nullptr) {
    OptimizerState& optimizer = step.optimizer();
    optimizer.step = job.resume->restore(
        job.ctx, job.weights, job.config,
        {optimizer.low.view, optimizer.m.view, optimizer.v.view, 0, optimizer.loss_scale.view});
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
  const FileMetrics files(job.parts, job.files);
  const Stopwatch whole;
  int64_t tokens = 0;
  for (int64_t i = result.steps; i < total && !result.interrupted; ++i) {
    const Stopwatch step_time;
    SftStep made;
    saver.attempt(i,
                  [&] { made = run_step(job, step, order.batch(i), learning_rate(schedule, i)); });
    result.loss = made.report.loss;
    tokens += made.report.tokens;
    StepWriter writer(job.store, {job.run_id, "sft", i + 1}, i);
    add_training_metrics(writer, job, step, made.report);
    machine.add_batch(writer, work_of(job, made, step_time.seconds()));
    files.add(writer, made.samples, made.losses);
    writer.add_metric("epoch", static_cast<double>(i + 1) / static_cast<double>(epoch));

    result.steps = i + 1;
    result.interrupted = job.interrupt.requested();
    const bool last = i + 1 == total || result.interrupted;
    const bool measure = (i + 1) % (o.eval_every > 0 ? o.eval_every : epoch) == 0;
    if (!job.heldout.empty() && (measure || last)) {
      result.heldout_after = heldout_loss(job, step);
      writer.add_metric("heldout_loss", result.heldout_after);
    }
    if (last || o.training.saves_behind(i + 1)) saver.save(writer);
    writer.commit({.wall_seconds = step_time.seconds(), .trained_tokens = made.report.tokens});
    saver.check();
    progress.update(i + 1, {{"loss", result.loss}}, tokens);
  }
  progress.finish();
  result.tokens_per_second = static_cast<double>(tokens) / std::max(1e-9, whole.seconds());
  return result;
}

}  // namespace temper
