#include "distill/trainer.h"

#include <cmath>

#include "core/progress.h"
#include "core/stopwatch.h"
#include "model/training/machine_metrics.h"
#include "model/training/micro_batches.h"
#include "model/training/step_saver.h"
#include "sft/loss.h"

namespace temper {
namespace {

// The batch of each step: samples of the data, or what the student says to prompts of the data.
class Batches {
 public:
  explicit Batches(const DistillJob& job)
      : job_(job),
        mixture_(parts_of(job), static_cast<uint64_t>(job.options.training.seed)),
        per_epoch_((mixture_.size() + job.options.batch_size - 1) / job.options.batch_size) {}

  int64_t steps() const {
    const SftOptions& o = job_.options;
    return o.max_steps > 0 ? o.max_steps : o.epochs * per_epoch_;
  }
  std::vector<TrainSequence> take(int64_t step) {
    if (job_.on_policy != nullptr) return answers(step);
    std::vector<TrainSequence> batch;
    for (const int64_t i : indices(step)) {
      const Sample& sample = job_.samples[static_cast<size_t>(i)];
      batch.push_back({.ids = sample.ids, .mask = sample.mask});
    }
    return batch;
  }
  int64_t generated() const { return generated_; }

 private:
  static std::vector<MixturePart> parts_of(const DistillJob& job) {
    if (job.on_policy != nullptr)
      return {{static_cast<int64_t>(job.on_policy->prompts.size()), 0.0}};
    if (!job.parts.empty()) return {job.parts.begin(), job.parts.end()};
    return {{static_cast<int64_t>(job.samples.size()), 0.0}};
  }
  std::vector<int64_t> indices(int64_t step) {
    const int64_t epoch = step / per_epoch_, batch = job_.options.batch_size;
    if (epoch != epoch_) order_ = mixture_.epoch(epoch), epoch_ = epoch;
    const int64_t begin = step % per_epoch_ * batch;
    return {order_.begin() + begin, order_.begin() + std::min(begin + batch, mixture_.size())};
  }
  // What the student says to the step's prompts; loss on all of it.
  std::vector<TrainSequence> answers(int64_t step) {
    std::vector<Prompt> prompts;
    for (const int64_t i : indices(step))
      prompts.push_back(job_.on_policy->prompts[static_cast<size_t>(i)]);
    SampleJob ask = *job_.on_policy;
    ask.prompts = prompts;
    ask.options.step = step + 1;  // keys the random numbers, with the place in the batch
    const JudgedSamples samples = sample_prompts(ask);
    std::vector<TrainSequence> out;
    for (size_t p = 0; p < prompts.size(); ++p) {
      for (const JudgedSample& sample : samples.groups[p]) {
        TrainSequence s{.ids = prompts[p].ids,
                        .mask = std::vector<uint8_t>(prompts[p].ids.size(), 0)};
        s.ids.insert(s.ids.end(), sample.rollout.ids.begin(), sample.rollout.ids.end());
        s.mask.resize(s.ids.size(), 1);
        generated_ += static_cast<int64_t>(sample.rollout.ids.size());
        out.push_back(std::move(s));
      }
    }
    return out;
  }

  const DistillJob& job_;
  Mixture mixture_;
  int64_t per_epoch_, epoch_ = -1, generated_ = 0;
  std::vector<int64_t> order_;
};

double run_step(const DistillJob& job, TrainStep& step, std::span<const TrainSequence> batch,
                double lr, StepReport& report, BatchWork& work) {
  work = {.samples = static_cast<int64_t>(batch.size()),
          .targets = count_targets(batch),
          .micro_batch_tokens = job.micro_batch_tokens};
  const KlParams params{job.direction, job.temperature,
                        static_cast<double>(std::max<int64_t>(1, work.targets))};
  step.begin(count_global(batch, static_cast<int64_t>(job.weights.view.mtp.size())));
  double kl = 0.0;
  for (const auto& part : micro_batches(batch, job.micro_batch_tokens)) {
    kl += accumulate_kl(job.ctx, step, job.weights.view, job.teacher, job.teacher_config, part,
                        params);
    ++work.micro_batches;
  }
  if (!std::isfinite(kl))
    throw UserError({.what = "the distance to the teacher is not finite; the weights are as before "
                             "this step",
                     .hint = "lower --learning-rate, or give each token some chance: forward KL"});
  report = step.finish(lr);
  work.tokens = report.tokens;
  return kl;
}

// Takes weights and moments from job.resume; returns the step behind which they were saved, or 0.
int64_t restore(const DistillJob& job, TrainStep& step) {
  if (job.resume == nullptr) return 0;
  OptimizerState& optimizer = step.optimizer();
  optimizer.step = job.resume->restore(
      job.ctx, job.weights, job.config,
      {optimizer.low.view, optimizer.m.view, optimizer.v.view, 0, optimizer.loss_scale.view});
  return job.resume->step();
}

}  // namespace

DistillResult train_distill(const DistillJob& job) {
  const SftOptions& o = job.options;
  Batches batches(job);
  const int64_t total = batches.steps();
  const Schedule schedule = schedule_of(o.training, total);
  TrainStep step(job.ctx, job.config, job.weights, train_options_of(o.training));
  DistillResult result;
  const int64_t first = result.steps = restore(job, step);
  std::vector<TrainSequence> batch;  // of the present step, or of the one before while it is made
  StepSaver saver(
      {job.store,
       {job.run_id, "distill", first},
       step,
       [&] { return gives_numbers(step, job.weights.view, batch[0].ids); },
       [&](StepWriter& writer, int64_t at) { job.save(writer, step.optimizer(), {.step = at}); },
       job.save != nullptr});
  const MachineMetrics machine(job.ctx, job.config, job.weights.storage.view.dtype);
  Progress progress(job.log, {.label = "distill", .total = total});
  int64_t tokens = 0;
  for (int64_t i = first; i < total && !result.interrupted; ++i) {
    const Stopwatch time;
    const int64_t generated = batches.generated();
    StepReport report;
    BatchWork work;
    saver.attempt(i, [&] {
      batch = batches.take(i);
      result.kl_last = run_step(job, step, batch, learning_rate(schedule, i), report, work);
    });
    StepWriter writer(job.store, {job.run_id, "distill", i + 1}, i);
    if (i == first) result.kl_first = result.kl_last;
    tokens += report.tokens;
    writer.add_metric("kl", result.kl_last);
    writer.add_metric("grad_norm", report.grad_norm);
    writer.add_metric("update_norm", update_norm(job.ctx, step.optimizer()));
    writer.add_metric("lr", report.lr);
    work.seconds = time.seconds();
    machine.add_batch(writer, work);
    result.steps = i + 1;
    result.interrupted = job.interrupt.requested();
    const bool last = i + 1 == total || result.interrupted;
    if (last || o.training.saves_behind(i + 1)) saver.save(writer);
    writer.commit({.wall_seconds = time.seconds(),
                   .trained_tokens = report.tokens,
                   .generated_tokens = batches.generated() - generated});
    saver.check();
    progress.update(i + 1, {{"kl", result.kl_last}}, tokens);
  }
  progress.finish();
  return result;
}

}  // namespace temper
