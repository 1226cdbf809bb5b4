// Batched generation: one decoder, one paged cache, continuous batching, prompts shared by the
// samples of a group.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "core/context.h"
#include "core/interrupt.h"
#include "model/decoder.h"
#include "rollout/request.h"
#include "rollout/sampler.h"
#include "rollout/scheduler.h"

namespace temper {

struct EngineLimits {
  int64_t max_samples = 64;  // samples that are decoded in one step
  int64_t max_rows = 256;    // tokens of a step, prompts included; raised to max_samples if below
  int64_t block_size = 16;   // tokens of a cache block
  int64_t max_length = 0;    // prompt + completion; 0: the model's max_position_embeddings
  int64_t cache_bytes = int64_t{4} << 30;  // the cache grows to what a run can use, up to this
};

// A token was drawn; it is the last of `result.ids`.
struct TokenEvent {
  size_t request = 0;
  int64_t sample = 0;  // of the request, from 0
  const SampleResult& result;
};

// All are called between steps on the thread that called run(); each may be empty.
struct RolloutCallbacks {
  std::function<bool(const TokenEvent&)> on_token = {};  // false: the sample ends here (stop)
  std::function<void(const TokenEvent&)> on_finish = {};
  std::function<void(const RolloutStats&)> on_step = {};
  const Interrupt* interrupt = nullptr;
};

struct RolloutOutput {
  std::vector<std::vector<SampleResult>> samples;  // [request][sample]
  RolloutStats stats;
};

class RolloutEngine {
 public:
  // The weights may be updated between runs; they and the config must outlive the engine. Computes
  // and caches in the weights' dtype.
  RolloutEngine(Context& ctx, const ModelWeights& weights, const ModelConfig& config,
                const EngineLimits& limits = {});

  // Samples all requests. A completion depends on the weights, its prompt, its parameters and its
  // key alone, bit for bit: not on the other requests, how many run together or the number of
  // threads. (block_size is part of the arithmetic: attention sums block by block.)
  // Throws UserError for an empty prompt, an id outside the vocabulary, bad sampling parameters,
  // or a request that max_length or the cache cannot hold (naming it by its place).
  RolloutOutput run(std::span<const RolloutRequest> requests,
                    const RolloutCallbacks& callbacks = {});

  int64_t max_length() const { return limits_.max_length; }
  // Memory of the cache for so many blocks, in bytes.
  int64_t bytes_of_blocks(int64_t blocks) const;

 private:
  struct Run;

  void check(const RolloutRequest& request, size_t index) const;
  int64_t blocks_wanted(std::span<const RolloutRequest> requests) const;
  void step(Run& run, const StepPlan& plan);
  Tensor decode(Run& run, const StepPlan& plan);
  Tensor logits_of(const StepPlan& plan, Tensor hidden);
  void take_draws(Run& run, const StepPlan& plan);

  Context& ctx_;
  const ModelWeights& weights_;
  const ModelConfig& config_;
  EngineLimits limits_;
  KvCache cache_;
  OwnedTensor kept_;  // [max_samples, d]  the last hidden states of prompts
  Arena scratch_;
  Sampler sampler_;
  std::vector<DrawRequest> requests_;  // of the step
  std::vector<Draw> draws_;
};

}  // namespace temper
