#include "model/batch.h"

#include "core/device.h"

namespace temper {

TokenBatch make_batch(Context& ctx, Arena& arena, std::span<const std::vector<int32_t>> sequences) {
  TokenBatch batch;
  batch.cu_seqlens = {0};
  std::vector<int32_t> ids, positions;
  for (const auto& sequence : sequences) {
    require(!sequence.empty(), "a sequence of a batch has at least one token");
    batch.cu_seqlens.push_back(batch.cu_seqlens.back() + static_cast<int32_t>(sequence.size()));
    for (size_t i = 0; i < sequence.size(); ++i) {
      ids.push_back(sequence[i]);
      positions.push_back(static_cast<int32_t>(i));
      batch.targets.push_back(i + 1 < sequence.size() ? sequence[i + 1] : -1);
    }
  }
  batch.ids = upload(ctx, arena, "batch.ids", ids);
  batch.positions = upload(ctx, arena, "batch.positions", positions);
  batch.cu_seqlens_tensor = upload(ctx, arena, "batch.cu_seqlens", batch.cu_seqlens);
  return batch;
}

}  // namespace temper
