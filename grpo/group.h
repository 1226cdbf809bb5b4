// One step's samples, from rollout to update to database.
#pragma once

#include <string>
#include <vector>

#include "rollout/sample_prompts.h"

namespace temper {

// A judged completion with what the update adds. Token arrays have one entry a completion token.
// Units: nats.
struct GrpoSample : JudgedSample {
  double total = 0.0;  // the reward with the overlong punishment and the KL: what is compared
  double advantage = 0.0;
  std::vector<double> token_advantages;  // of process rewards; empty: `advantage` for every token
  std::vector<double> old;               // the trainer's, before this step's first update
  std::vector<double> reference;         // empty without a KL term
  std::vector<double> entropy;           // of the trainer's distribution, in the first update
  std::vector<uint8_t> clips;            // clip_bits of all updates
  bool filtered = false;                 // it was cut off, and carries no loss
  bool truncated() const { return rollout.finish == FinishReason::length; }
  int64_t tokens() const { return static_cast<int64_t>(rollout.ids.size()); }
};

struct GrpoGroup {
  size_t prompt = 0;  // index into the run's prompts
  std::vector<GrpoSample> samples;
  bool zero_signal = false;  // all that is compared is equal: no advantage
  bool judged = true;        // false: a sample could not be judged; the group is not used
  std::string dropped;       // why the step does not use the group; empty: it does
  bool used() const { return judged && dropped.empty(); }
};

// What a rollout brings to a step.
struct StepBatch {
  std::vector<GrpoGroup> groups;  // in the order of sampling, those dropped too
  int64_t step = 0;
  int64_t policy_version = 0;  // steps whose update the sampling weights had seen
  int64_t generations = 0;     // calls of the generator that it took
  int64_t prompts_drawn = 0;   // from the data since the run began, this batch included
  // Of the generator: its steps, those that a GPU waited for, and seconds of recording steps.
  int64_t steps = 0, starved = 0;
  double recording_seconds = 0.0;
  double cache_share = 0.0;  // of the KV cache's blocks, the most in use at a time
  int64_t cache_bytes = 0;
  double seconds = 0.0;  // of sampling, and judging beside it; without rules that wait
};

}  // namespace temper
