#include "grpo/checkpoint.h"

#include "core/error.h"
#include "core/json_fields.h"
#include "grpo/stored_batch.h"

namespace temper {
namespace {

constexpr const char* kAhead = "rollout_ahead";
constexpr const char* kReference = "reference";
constexpr const char* kReferenceBiases = "reference_router_biases";

StepBatch ahead_of(const GrpoJob& job) {
  const std::string where = job.resume->dir().string() + ": " + kAhead;
  StepBatch batch = batch_from_bytes(job.resume->bytes(kAhead), where);
  for (const GrpoGroup& group : batch.groups)
    if (group.prompt >= job.prompts.size())
      throw UserError({.what = "the stored rollout is of other prompts",
                       .where = where,
                       .hint = "resume with the data of the run"});
  return batch;
}

}  // namespace

void save_grpo(const GrpoJob& job, StepWriter& writer, TrainStep& train, const Rollouts& rollouts,
               int64_t step) {
  StageState state{.step = step,
                   .facts = "{\"prompts_drawn\": " + std::to_string(rollouts.drawn()) + "}"};
  std::string ahead = rollouts.ahead() ? batch_to_bytes(*rollouts.ahead()) : "";
  if (!ahead.empty())
    state.tensors.push_back(
        {kAhead, make_tensor(ahead.data(), DType::u8, {static_cast<int64_t>(ahead.size())})});
  const int64_t every = job.options.reference_every;
  if (every > 0 && step >= every) {
    state.tensors.push_back({kReference, job.reference->storage.view});
    if (!job.reference->router_biases.view.empty())
      state.tensors.push_back({kReferenceBiases, job.reference->router_biases.view});
  }
  job.save(writer, train.optimizer(), state);
}

int64_t restore_grpo(const GrpoJob& job, TrainStep& train, Rollouts& rollouts) {
  if (job.resume == nullptr) return 0;
  const TrainingCheckpoint& from = *job.resume;
  OptimizerState& optimizer = train.optimizer();
  optimizer.step = from.restore(
      job.ctx, job.weights, job.config,
      {optimizer.low.view, optimizer.m.view, optimizer.v.view, 0, optimizer.loss_scale.view});
  if (from.has(kReference)) {
    from.read(job.ctx, kReference, job.reference->storage.view);
    if (!job.reference->router_biases.view.empty())
      from.read(job.ctx, kReferenceBiases, job.reference->router_biases.view);
  }
  if (job.stored_batch) return from.step();  // what would be drawn next is of no interest
  const JsonFields facts(from.facts(), from.dir().string());
  std::optional<StepBatch> ahead;
  if (from.has(kAhead)) ahead = ahead_of(job);
  rollouts.resume(facts.integer("prompts_drawn", 0), std::move(ahead));
  return from.step();
}

}  // namespace temper
