// The second half of a step: the policy update.
#pragma once

#include <vector>

#include "grpo/group.h"
#include "grpo/loss.h"
#include "grpo/trainer.h"

namespace temper {

// Sums and means over the samples that an update used, all updates of the step together.
struct UpdateReport {
  StepReport last;  // of the last update
  double loss = 0.0, kl = 0.0, entropy = 0.0;
  double clip_fraction_low = 0.0, clip_fraction_high = 0.0;
  double ratio_mean = 1.0, ratio_max = 1.0;
  int64_t updates = 0, trained_tokens = 0, trained_samples = 0;
};

// Sets `old` (and `reference`) of the samples, then does mini_batches * inner_epochs updates.
// Groups that were not judged are left out; those without signal too, unless a KL, MTP or balance
// term wants them. The normaliser is the number of judged samples of the update either way.
UpdateReport update_policy(const GrpoJob& job, TrainStep& step, std::vector<GrpoGroup>& groups,
                           int64_t step_index);

}  // namespace temper
