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
#include "rollout/scheduler.h"
#include "rollout/step_runner.h"

namespace temper {

// How steps follow each other.
enum class Stepping : uint8_t {
  automatic,  // ahead on a GPU, plain on the CPU
  // Each step is over before the next is planned; prompts run through the cache row by row.
  plain,
  // Steps are queued before the draws of those before are known, prompts run packed, by a pass of
  // their own, and in pieces where they are long. What a sample computes behind its stop is thrown
  // away.
  ahead,
};

struct EngineLimits {
  int64_t max_samples = 64;     // samples that are decoded in one step
  int64_t max_rows = 256;       // plain: tokens of a step, prompts included; at least max_samples
  int64_t prompt_rows = 16384;  // ahead: tokens of prompts that are computed together
  int64_t chunk_rows = 4096;    // ahead: of one prompt, while half of the samples or more wait
  int64_t block_size = 16;      // tokens of a cache block
  int64_t max_length = 0;       // prompt + completion; 0: the model's max_position_embeddings
  int64_t cache_bytes = int64_t{4} << 30;  // the cache grows to what a run can use, up to this
  Stepping stepping = Stepping::automatic;
};

// A token was drawn; it is the last of `result.ids`.
struct TokenEvent {
  size_t request = 0;
  int64_t sample = 0;  // of the request, from 0
  const SampleResult& result;
};

// All are called on the thread that called run(), token by token in the order of the steps, which
// may be a few steps behind what the device computes; each may be empty.
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
  // key alone: not on the other requests, how many run together or the number of threads; bit for
  // bit on the CPU, on the GPU up to the rounding of products, whose order of summation cuBLASLt
  // chooses by the number of rows. (block_size is part of the arithmetic: attention sums block by
  // block.)
  // Throws UserError for an empty prompt, an id outside the vocabulary, bad sampling parameters,
  // or a request that max_length or the cache cannot hold (naming it by its place).
  RolloutOutput run(std::span<const RolloutRequest> requests,
                    const RolloutCallbacks& callbacks = {});

  int64_t max_length() const { return limits_.max_length; }
  // Memory of the cache for so many blocks, in bytes.
  int64_t bytes_of_blocks(int64_t blocks) const;

  // Of the last run that came to its end.
  const RolloutStats& last_stats() const { return last_; }

 private:
  RolloutStats last_;
  struct Run;

  void check(const RolloutRequest& request, size_t index) const;
  int64_t blocks_wanted(std::span<const RolloutRequest> requests) const;
  RunShape shape_of(std::span<const RolloutRequest> requests) const;
  void run_steps(Run& run, size_t ahead);
  void take_step(Run& run);
  void take_experts(Run& run, std::span<const RowOwner> owners, const StepResult& step);
  void take_draw(Run& run, const PlannedDraw& draw, const StepResult& step, size_t i);

  Context& ctx_;
  const ModelWeights& weights_;
  const ModelConfig& config_;
  EngineLimits limits_;
  StepRunner runner_;
};

}  // namespace temper
