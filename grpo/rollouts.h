// The rollouts of a run, one a step; with --staleness each is drawn one step ahead.
#pragma once

#include <optional>

#include "grpo/group.h"
#include "grpo/prompt_order.h"
#include "grpo/trainer.h"
#include "rollout/engine.h"

namespace temper {

class Rollouts {
 public:
  explicit Rollouts(const GrpoJob& job);

  // The batch of this step, by the present weights or by those of the step before. Nothing if the
  // run is interrupted meanwhile: all is then as before the call.
  std::optional<StepBatch> take(int64_t step);

  // What a checkpoint keeps: prompts drawn so far, and the batch that waits for its step.
  int64_t drawn() const { return order_.drawn(); }
  const std::optional<StepBatch>& ahead() const { return ahead_; }
  void resume(int64_t drawn, std::optional<StepBatch> ahead);

 private:
  std::optional<StepBatch> sample(int64_t step, int64_t policy_version);

  const GrpoJob& job_;
  RolloutEngine engine_;
  PromptOrder order_;
  std::optional<StepBatch> ahead_;
};

}  // namespace temper
