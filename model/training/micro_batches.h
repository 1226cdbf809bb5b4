// Cutting a batch into micro-batches that fit in memory.
#pragma once

#include <span>
#include <vector>

#include "model/training/train_step.h"

namespace temper {

// Bins of at most `max_tokens` tokens (a longer sequence gets a bin of its own), filled best-fit
// from the longest sequence down. What a step computes does not depend on it (up to rounding).
std::vector<std::vector<TrainSequence>> micro_batches(std::span<const TrainSequence> sequences,
                                                      int64_t max_tokens);
// The same, as indices: bins[b][j] is the place of a sequence.
std::vector<std::vector<size_t>> micro_batch_indices(std::span<const TrainSequence> sequences,
                                                     int64_t max_tokens);

}  // namespace temper
