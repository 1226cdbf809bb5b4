// Renewing the reference.
#pragma once

#include "grpo/trainer.h"

namespace temper {

// Behind every reference_every-th step: the reference becomes the policy, and with reset_optimizer
// AdamW starts anew. Returns whether it did.
// Source: DeepSeek-R1 (arXiv 2501.12948v2) methods; with the reset, ProRL (2505.24864).
bool refresh_reference(const GrpoJob& job, TrainStep& train, int64_t step);

}  // namespace temper
