#include "sft/loss.h"

namespace temper {

std::vector<std::vector<double>> sft_gradient(std::span<const TrainSequence> sequences,
                                              double normaliser) {
  require(normaliser > 0.0, "a batch without counted tokens has no loss");
  std::vector<std::vector<double>> gradient;
  for (const TrainSequence& s : sequences) {
    std::vector<double>& tokens = gradient.emplace_back(s.ids.size(), 0.0);
    for (size_t i = 1; i < s.ids.size(); ++i)
      if (s.mask[i]) tokens[i] = -1.0 / normaliser;
  }
  return gradient;
}

double sft_loss(TokenLoss& tokens, std::span<const TrainSequence> sequences, double normaliser) {
  tokens.dlogprob = sft_gradient(sequences, normaliser);
  double loss = 0.0;
  for (size_t s = 0; s < sequences.size(); ++s)
    for (size_t i = 1; i < sequences[s].ids.size(); ++i)
      loss += tokens.dlogprob[s][i] * tokens.logprob[s][i];
  return loss;
}

int64_t count_targets(std::span<const TrainSequence> sequences) {
  int64_t count = 0;
  for (const TrainSequence& s : sequences)
    for (size_t i = 1; i < s.mask.size(); ++i) count += s.mask[i] != 0;
  return count;
}

}  // namespace temper
