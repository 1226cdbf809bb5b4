// One step's samples, from rollout to update to database.
#pragma once

#include <vector>

#include "rollout/sample_prompts.h"

namespace temper {

// A judged completion with what the update adds. Token arrays have one entry a completion token.
// Units: nats.
struct GrpoSample : JudgedSample {
  double advantage = 0.0;
  std::vector<double> old;        // the trainer's, before this step's first update
  std::vector<double> reference;  // empty without a KL term
  bool truncated() const { return rollout.finish == FinishReason::length; }
};

struct GrpoGroup {
  size_t prompt = 0;  // index into the run's prompts
  std::vector<GrpoSample> samples;
  bool zero_signal = false;  // all rewards equal: no advantage
  bool judged = true;        // false: a sample could not be judged; the group is not used
};

}  // namespace temper
