#include "grpo/aggregation.h"

#include <map>

#include "core/error.h"

namespace temper {

std::vector<double> sequence_weights(Aggregation kind, std::span<const LossSequence> batch,
                                     double length) {
  require(kind != Aggregation::constant || length > 0.0, "a constant length above 0");
  const double sequences = static_cast<double>(batch.size());
  double tokens = 0.0;
  std::map<int64_t, double> prompts;  // tokens of each
  for (const LossSequence& s : batch) {
    tokens += static_cast<double>(s.tokens);
    prompts[s.prompt] += static_cast<double>(s.tokens);
  }
  const auto weight = [&](const LossSequence& s) {
    switch (kind) {
      case Aggregation::sequence_mean:
        return 1.0 / (sequences * static_cast<double>(s.tokens));
      case Aggregation::token_mean:
        return 1.0 / tokens;
      case Aggregation::constant:
        return 1.0 / (sequences * length);
      case Aggregation::prompt_mean:
        return 1.0 / (static_cast<double>(prompts.size()) * prompts[s.prompt]);
    }
    require(false, "an aggregation of no known kind");
    return 0.0;
  };
  std::vector<double> out;
  for (const LossSequence& s : batch) out.push_back(s.tokens > 0 ? weight(s) : 0.0);
  return out;
}

}  // namespace temper
