// Keeps which experts the rows of a rollout went to.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rollout/request.h"
#include "rollout/scheduler.h"

namespace temper {

// The traces of a run's samples, for those requests that ask for them. A prompt is computed once:
// its part is put before each of its samples' at the end.
class ExpertRecorder {
 public:
  ExpertRecorder(std::span<const RolloutRequest> requests, int64_t moe_layers, int64_t top_k);

  // Whether any request asks for its experts.
  bool wanted() const { return wanted_; }
  int64_t layers() const { return layers_; }
  // Takes where rows went: experts [layers][rows][top_k], of which the first are of `owners`. What
  // a sample computes behind its end is nobody's.
  void take(std::span<const RowOwner> owners, std::span<const int32_t> experts, int64_t rows,
            std::vector<std::vector<SampleResult>>& samples);
  // Completes the traces; once, behind the last step.
  void finish(std::vector<std::vector<SampleResult>>& samples);

 private:
  std::span<const RolloutRequest> requests_;
  int64_t layers_, top_k_;
  bool wanted_ = false;
  std::vector<std::vector<uint16_t>> prompts_;  // [request]
};

}  // namespace temper
