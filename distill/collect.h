// A teacher's samples into the run's database, step by step.
#pragma once

#include "core/interrupt.h"
#include "core/log.h"
#include "data/store_step.h"
#include "distill/teacher.h"

namespace temper {

// All references outlive the call.
struct CollectJob {
  Teacher& teacher;
  std::span<const Prompt> prompts;
  const CompositeReward& reward;
  Store& store;
  StepKey run;                    // run and kind; the step is not looked at
  int64_t prompts_per_step = 64;  // asked and committed together
  Logger& log;
  const Interrupt& interrupt;
};

struct CollectResult {
  int64_t samples = 0, tokens = 0;  // of this call
  double seconds = 0.0;
  bool interrupted = false;
};

// Asks for all prompts that the run does not hold yet: a run that was interrupted goes on behind
// its last committed step. Throws what the teacher throws; committed steps stay.
CollectResult collect_samples(const CollectJob& job);

}  // namespace temper
