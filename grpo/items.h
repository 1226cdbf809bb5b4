// A step's samples as the trainer takes them.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "grpo/group.h"
#include "grpo/trainer.h"

namespace temper {

// A sample with its prompt.
struct TrainItem {
  GrpoSample* sample = nullptr;
  const Prompt* prompt = nullptr;
  size_t group = 0;     // place in the step
  double weight = 0.0;  // of each of its tokens in the loss
  size_t prompt_tokens() const { return prompt->ids.size(); }
};

// The samples that the step uses: of judged groups that were not dropped, unless filtered.
std::vector<TrainItem> items_of(const GrpoJob& job, std::vector<GrpoGroup>& groups);

// Prompt and completion; the completion's tokens count.
TrainSequence sequence_of(const TrainItem& item);
std::vector<TrainSequence> sequences_of(std::span<const TrainItem> items);

// Calls body(items of a micro-batch, their sequences) for all items.
using MicroBatchBody = std::function<void(const std::vector<const TrainItem*>& items,
                                          const std::vector<TrainSequence>& sequences)>;
void for_micro_batches(std::span<const TrainItem> items, int64_t max_tokens,
                       const MicroBatchBody& body);

// The completion's part of an array that has an entry a token of the sequence.
std::vector<double> completion_part(const std::vector<double>& tokens, const TrainItem& item);

// Sets `field` of those samples that do not have it to their tokens' log-probabilities under
// `weights`.
void score_items(const GrpoJob& job, TrainStep& step, std::span<const TrainItem> items,
                 const ModelWeights& weights, std::vector<double> GrpoSample::*field);

}  // namespace temper
