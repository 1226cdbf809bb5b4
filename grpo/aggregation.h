// How the losses of a batch's tokens become one number.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace temper {

enum class Aggregation {
  sequence_mean,  // mean over sequences of the mean over their tokens: GRPO, GSPO
  token_mean,     // mean over all tokens of the batch: DAPO, CISPO
  constant,       // sum over a sequence's tokens over a constant length, mean over sequences
  prompt_mean,    // mean over prompts of the mean over all tokens of their samples
};

// One sequence of the batch: its prompt and how many of its tokens carry loss.
struct LossSequence {
  int64_t prompt = 0;
  int64_t tokens = 0;
};

// The weight of every token of each sequence, so that loss = sum_i w_i sum_t l_it. With N
// sequences, L_i tokens of sequence i, P prompts:
//   sequence_mean 1 / (N L_i);  token_mean 1 / sum L;  constant 1 / (N length);
//   prompt_mean   1 / (P sum of L_j over the sequences j of i's prompt).
// `batch` is the whole batch of one optimiser update, over all micro-batches and ranks: weights do
// not depend on how it is cut. A sequence without tokens weighs 0 and still counts in N.
// Source: DeepSeekMath eq. 3; DAPO (arXiv 2503.14476) eq. 12; Dr. GRPO (2503.20783) section 3.2;
// ScaleRL (2510.13786) section 3.
std::vector<double> sequence_weights(Aggregation kind, std::span<const LossSequence> batch,
                                     double length);

}  // namespace temper
