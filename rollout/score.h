// Log-probabilities of given tokens: what a model thinks of a text.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/context.h"
#include "model/weights.h"

namespace temper {

struct ScoreOptions {
  double temperature = 1.0;
  int64_t batch_tokens = 2048;  // tokens of a forward pass; a longer sequence has one of its own
  // Called after each pass with the tokens scored so far; may be empty.
  std::function<void(int64_t)> on_batch = {};
};

// logprobs[s][t] = log p(ids[s][t] | ids[s][0..t)) for t >= 1, and 0 for t = 0. Sequences are
// packed into passes in their order and never see each other. Units: nats.
// Throws UserError for an empty sequence, an id outside the vocabulary, a sequence longer than the
// model's context or a log-probability that is not finite, naming its place.
std::vector<std::vector<double>> score_sequences(Context& ctx, const ModelWeights& weights,
                                                 const ModelConfig& config,
                                                 std::span<const std::vector<int32_t>> sequences,
                                                 const ScoreOptions& options = {});

}  // namespace temper
