#include "grpo/reference.h"

#include "model/ops/elementwise.h"

namespace temper {

bool refresh_reference(const GrpoJob& job, TrainStep& train, int64_t step) {
  const GrpoOptions& o = job.options;
  if (o.reference_every == 0 || step % o.reference_every != 0) return false;
  copy(job.ctx, job.reference->storage.view, job.weights.storage.view);
  if (!job.weights.router_biases.view.empty())
    copy(job.ctx, job.reference->router_biases.view, job.weights.router_biases.view);
  if (o.reset_optimizer) {
    OptimizerState& state = train.optimizer();
    fill_zero(job.ctx, state.m.view);
    fill_zero(job.ctx, state.v.view);
    state.step = 0;
  }
  return true;
}

}  // namespace temper
