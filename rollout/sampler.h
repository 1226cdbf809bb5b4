// Draws tokens from rows of logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/context.h"
#include "rollout/sampling_params.h"

namespace temper {

// A drawn token. With z = logits / recorded_temperature and lse = log sum exp z over all tokens:
struct Draw {
  int32_t token = 0;
  // z[token] - lse: what the trainer computes for it (model/ops/log_prob.h).
  double logprob = 0.0;
  // Of the distribution it was drawn from: renormalised over what the filters kept. Equal to
  // logprob without filters; 0 when greedy.
  double sampled_logprob = 0.0;
  double entropy = 0.0;       // lse - sum p z over all tokens; 0 unless asked for
  std::vector<int32_t> kept;  // the ids that the filters kept, ascending; empty unless asked for
};

// One token to draw: from row `row` of the logits with the number `uniform` in [0, 1).
struct DrawRequest {
  int32_t row = 0;
  double uniform = 0.0;
  const SamplingParams* params = nullptr;
  bool entropy = false;
  bool kept = false;
};

class Sampler {
 public:
  // draws[i] answers requests[i]; requests of one row that stand side by side share its sums. A
  // draw depends on its row, number and parameters alone.
  // Shapes: logits [M, V]. Types: f32 or f64; sums in f64. Units: nats.
  // Throws UserError if a row holds NaN or infinity: the model is broken.
  void draw(Context& ctx, std::span<Draw> draws, std::span<const DrawRequest> requests,
            Tensor logits);

  struct Candidate {
    double weight;
    int32_t token;
  };
  // Working memory of one thread; kept between calls.
  struct Scratch {
    std::vector<double> block_sums;
    std::vector<Candidate> candidates;
  };

 private:
  std::vector<Scratch> scratch_;  // one a thread
};

}  // namespace temper
