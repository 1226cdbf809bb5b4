#include "model/training/micro_batches.h"

#include "data/packing.h"

namespace temper {

std::vector<std::vector<size_t>> micro_batch_indices(std::span<const TrainSequence> sequences,
                                                     int64_t max_tokens) {
  std::vector<int64_t> lengths;
  for (const TrainSequence& s : sequences) lengths.push_back(static_cast<int64_t>(s.ids.size()));
  return pack_best_fit(lengths, max_tokens);
}

std::vector<std::vector<TrainSequence>> micro_batches(std::span<const TrainSequence> sequences,
                                                      int64_t max_tokens) {
  std::vector<std::vector<TrainSequence>> out;
  for (const auto& bin : micro_batch_indices(sequences, max_tokens)) {
    std::vector<TrainSequence>& part = out.emplace_back();
    for (size_t index : bin) part.push_back(sequences[index]);
  }
  return out;
}

}  // namespace temper
