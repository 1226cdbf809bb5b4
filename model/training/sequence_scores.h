// What a model with a scalar head says about texts, without gradient.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/context.h"
#include "model/batch.h"
#include "model/layers/score_head.h"
#include "model/weights.h"

namespace temper {

// The row of each sequence's last token: [S] i32.
Tensor last_rows(Context& ctx, Arena& arena, const TokenBatch& batch);

// scores[s] of each sequence (at least one token each). At most `batch_tokens` go through the model
// at once, of a longer sequence all. Sequences never see each other.
std::vector<double> sequence_scores(Context& ctx, const ModelWeights& weights,
                                    const ModelConfig& config,
                                    std::span<const std::vector<int32_t>> sequences,
                                    int64_t batch_tokens);

}  // namespace temper
