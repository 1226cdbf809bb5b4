// The database's side of a step: its rows, written beside the next step's rollout.
#pragma once

#include <functional>
#include <future>
#include <memory>

#include "grpo/metrics.h"

namespace temper {

// The rollout of step s + 1 needs nothing of the rows of step s, so that their writing costs the
// trainer no time. Each step stays one transaction. Between begin() and finish() nobody else may
// use job.store. What went wrong in writing is thrown by finish(), or by the next begin().
class StepRecorder {
 public:
  explicit StepRecorder(const GrpoJob& job) : job_(job) {}
  ~StepRecorder();  // waits: a step that ended is recorded, whatever ends the run
  StepRecorder(const StepRecorder&) = delete;
  StepRecorder& operator=(const StepRecorder&) = delete;

  // Starts to write and commit a step that took `wall_seconds`.
  void begin(StepOutcome outcome, double wall_seconds);
  // The same at once, with what `save` adds in the same transaction: a checkpoint.
  void record(const StepOutcome& outcome, double wall_seconds,
              const std::function<void(StepWriter&)>& save);
  // Waits for what begin() started.
  void finish();

  // What the trainer has waited for rows since this was last asked. Units: s.
  double take_waited();

 private:
  const GrpoJob& job_;
  std::unique_ptr<StepOutcome> outcome_;  // alive while pending_ reads it
  std::future<void> pending_;
  double waited_ = 0.0;
};

}  // namespace temper
