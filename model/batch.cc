#include "model/batch.h"

#include <algorithm>

namespace temper {

TokenBatch make_batch(Arena& arena, std::span<const std::vector<int32_t>> sequences) {
  TokenBatch batch;
  batch.cu_seqlens = {0};
  for (const auto& sequence : sequences) {
    require(!sequence.empty(), "a sequence of a batch has at least one token");
    batch.cu_seqlens.push_back(batch.cu_seqlens.back() + static_cast<int32_t>(sequence.size()));
  }
  const int64_t tokens = batch.cu_seqlens.back();
  batch.ids = arena.tensor("batch.ids", DType::i32, {tokens});
  batch.positions = arena.tensor("batch.positions", DType::i32, {tokens});
  batch.targets = arena.tensor("batch.targets", DType::i32, {tokens});
  int64_t t = 0;
  for (const auto& sequence : sequences) {
    for (size_t i = 0; i < sequence.size(); ++i, ++t) {
      batch.ids.get<int32_t>()[t] = sequence[i];
      batch.positions.get<int32_t>()[t] = static_cast<int32_t>(i);
      batch.targets.get<int32_t>()[t] = i + 1 < sequence.size() ? sequence[i + 1] : -1;
    }
  }
  return batch;
}

}  // namespace temper
