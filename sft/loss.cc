#include "sft/loss.h"

namespace temper {

double sft_loss(TokenLoss& tokens, std::span<const TrainSequence> sequences, double normaliser) {
  require(normaliser > 0.0, "a batch without counted tokens has no loss");
  double loss = 0.0;
  for (size_t s = 0; s < sequences.size(); ++s) {
    for (size_t i = 1; i < sequences[s].ids.size(); ++i) {
      if (!sequences[s].mask[i]) continue;
      loss -= tokens.logprob[s][i] / normaliser;
      tokens.dlogprob[s][i] = -1.0 / normaliser;
    }
  }
  return loss;
}

int64_t count_targets(std::span<const TrainSequence> sequences) {
  int64_t count = 0;
  for (const TrainSequence& s : sequences)
    for (size_t i = 1; i < s.mask.size(); ++i) count += s.mask[i] != 0;
  return count;
}

}  // namespace temper
