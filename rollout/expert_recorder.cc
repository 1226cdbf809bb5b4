#include "rollout/expert_recorder.h"

namespace temper {

ExpertRecorder::ExpertRecorder(std::span<const RolloutRequest> requests, int64_t moe_layers,
                               int64_t top_k)
    : requests_(requests), layers_(moe_layers), top_k_(top_k), prompts_(requests.size()) {
  for (const RolloutRequest& request : requests)
    wanted_ = wanted_ || (request.experts && moe_layers > 0);
}

void ExpertRecorder::take(std::span<const RowOwner> owners, std::span<const int32_t> experts,
                          int64_t rows, std::vector<std::vector<SampleResult>>& samples) {
  const auto of_layer = static_cast<size_t>(rows);
  const auto top_k = static_cast<size_t>(top_k_);
  for (size_t r = 0; r < owners.size(); ++r) {
    const RowOwner& owner = owners[r];
    if (!requests_[owner.request].experts) continue;
    std::vector<uint16_t>* trace = &prompts_[owner.request];
    if (owner.sample >= 0) {
      SampleResult& sample = samples[owner.request][static_cast<size_t>(owner.sample)];
      if (sample.finish != FinishReason::cancelled) continue;
      trace = &sample.experts.experts;
    }
    for (size_t l = 0; l < static_cast<size_t>(layers_); ++l)
      for (size_t k = 0; k < top_k; ++k)
        trace->push_back(static_cast<uint16_t>(experts[(l * of_layer + r) * top_k + k]));
  }
}

void ExpertRecorder::finish(std::vector<std::vector<SampleResult>>& samples) {
  for (size_t i = 0; i < samples.size(); ++i) {
    if (!requests_[i].experts) continue;
    for (SampleResult& sample : samples[i]) {
      std::vector<uint16_t>& trace = sample.experts.experts;
      trace.insert(trace.begin(), prompts_[i].begin(), prompts_[i].end());
      sample.experts.per_token = layers_ * top_k_;
    }
  }
}

}  // namespace temper
