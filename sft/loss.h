// The supervised loss.
#pragma once

#include "model/training/train_step.h"

namespace temper {

// d loss / d logprob of loss = -sum_{s,i} mask * logprob / normaliser, as [sequence][token].
// `normaliser` is the number of counted tokens of the global batch, so the sum over micro-batches
// does not depend on how the batch was cut.
std::vector<std::vector<double>> sft_gradient(std::span<const TrainSequence> sequences,
                                              double normaliser);

// The micro-batch's part of that loss, in nats a token; fills dlogprob.
double sft_loss(TokenLoss& tokens, std::span<const TrainSequence> sequences, double normaliser);

// Counted tokens: those that the mask lets in, the first of a sequence excepted.
int64_t count_targets(std::span<const TrainSequence> sequences);

}  // namespace temper
