#include "grpo/items.h"

#include <algorithm>

#include "model/training/micro_batches.h"

namespace temper {

std::vector<TrainItem> items_of(const GrpoJob& job, std::vector<GrpoGroup>& groups) {
  std::vector<TrainItem> items;
  for (size_t g = 0; g < groups.size(); ++g) {
    if (!groups[g].used()) continue;
    for (GrpoSample& sample : groups[g].samples)
      if (!sample.filtered) items.push_back({&sample, &job.prompts[groups[g].prompt], g, 0.0});
  }
  return items;
}

TrainSequence sequence_of(const TrainItem& item) {
  TrainSequence s;
  const std::vector<int32_t>& completion = item.sample->rollout.ids;
  s.ids = item.prompt->ids;
  s.ids.insert(s.ids.end(), completion.begin(), completion.end());
  s.mask.assign(s.ids.size(), 0);
  std::fill(s.mask.begin() + static_cast<std::ptrdiff_t>(item.prompt_tokens()), s.mask.end(),
            uint8_t{1});
  s.kept = item.sample->rollout.kept;
  s.experts = item.sample->rollout.experts;
  return s;
}

std::vector<TrainSequence> sequences_of(std::span<const TrainItem> items) {
  std::vector<TrainSequence> sequences;
  for (const TrainItem& item : items) sequences.push_back(sequence_of(item));
  return sequences;
}

void for_micro_batches(std::span<const TrainItem> items, int64_t max_tokens,
                       const MicroBatchBody& body) {
  const std::vector<TrainSequence> sequences = sequences_of(items);
  for (const auto& bin : micro_batch_indices(sequences, max_tokens)) {
    std::vector<TrainSequence> part;
    std::vector<const TrainItem*> chosen;
    for (size_t index : bin) {
      part.push_back(sequences[index]);
      chosen.push_back(&items[index]);
    }
    body(chosen, part);
  }
}

std::vector<double> completion_part(const std::vector<double>& tokens, const TrainItem& item) {
  return {tokens.begin() + static_cast<std::ptrdiff_t>(item.prompt_tokens()), tokens.end()};
}

void score_items(const GrpoJob& job, TrainStep& step, std::span<const TrainItem> items,
                 const ModelWeights& weights, std::vector<double> GrpoSample::*field) {
  std::vector<TrainItem> wanted;
  for (const TrainItem& item : items)
    if ((item.sample->*field).empty()) wanted.push_back(item);
  for_micro_batches(
      wanted, job.micro_batch_tokens,
      [&](const std::vector<const TrainItem*>& chosen, std::vector<TrainSequence> part) {
        // Replay is for the policy; another model has gates of its own.
        if (&weights != &job.weights.view)
          for (TrainSequence& s : part) s.experts = {};
        const TokenLoss scored = step.score(weights, part);
        for (size_t s = 0; s < chosen.size(); ++s)
          chosen[s]->sample->*field = completion_part(scored.logprob[s], *chosen[s]);
      });
}

}  // namespace temper
