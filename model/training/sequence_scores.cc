#include "model/training/sequence_scores.h"

#include "core/device.h"
#include "data/packing.h"
#include "model/decoder.h"

namespace temper {

Tensor last_rows(Context& ctx, Arena& arena, const TokenBatch& batch) {
  std::vector<int32_t> rows;
  for (int64_t s = 0; s < batch.sequences(); ++s)
    rows.push_back(batch.cu_seqlens[static_cast<size_t>(s) + 1] - 1);
  return upload(ctx, arena, "score.last", rows);
}

std::vector<double> sequence_scores(Context& ctx, const ModelWeights& weights,
                                    const ModelConfig& config,
                                    std::span<const std::vector<int32_t>> sequences,
                                    int64_t batch_tokens) {
  require(config.num_labels == 1, "a model with a scalar head");
  std::vector<int64_t> lengths;
  for (const auto& ids : sequences) lengths.push_back(static_cast<int64_t>(ids.size()));
  std::vector<double> scores(sequences.size());
  Arena activations(ctx.device);
  for (const std::vector<size_t>& bin : pack_best_fit(lengths, batch_tokens)) {
    ArenaScope scope(activations);
    std::vector<std::vector<int32_t>> part;
    for (size_t s : bin) part.push_back(sequences[s]);
    const TokenBatch batch = make_batch(ctx, activations, part);
    const Tensor hidden =
        decoder_forward(ctx, activations, nullptr, weights, config, batch, {});  // [T, d]
    const Tensor out = activations.tensor("score.scores", stat_dtype(hidden.dtype),
                                          {batch.sequences(), 1});  // [S, 1]
    score_head_forward(ctx, out, hidden, weights.score, last_rows(ctx, activations, batch));
    const std::vector<double> numbers = download_doubles(ctx, out);
    for (size_t i = 0; i < bin.size(); ++i) scores[bin[i]] = numbers[i];
  }
  return scores;
}

}  // namespace temper
