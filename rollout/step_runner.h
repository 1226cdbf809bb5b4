// Runs planned steps on the device: decoder, head and draws over the paged cache. Steps are queued
// one behind the other and their results fetched later, so that the device never waits for the
// host.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "core/context.h"
#include "core/queue.h"
#include "model/decoder.h"
#include "rollout/request.h"
#include "rollout/scheduler.h"
#include "rollout/step_inputs.h"

namespace temper {

// What one run asks of the runner.
struct RunShape {
  int64_t blocks = 0;          // of the cache
  int64_t block_size = 0;      // tokens of one
  int64_t longest = 0;         // blocks of the longest sequence
  int64_t max_samples = 0;     // decoded in one step
  int64_t most_rows = 0;       // of a step
  bool prompts_apart = false;  // the plans' way with prompts; else all rows go through the cache
  bool kept = false, experts = false, entropy = false;  // whether any request wants them
};

// What a step drew, in the order of its draws. Valid until the next call of start().
struct StepResult {
  std::span<const int32_t> tokens;  // [D]; -1: the logits were not finite
  std::span<const double> numbers;  // [D, kNumberColumns]
  std::span<const int32_t> kept;    // [D, kept_words(V)] if wanted: model/ops/sample.h
  // If wanted, [MoE layers, rows, K]: those of the rows that ran through the cache, which may be
  // more than the plan's, then of prompts by a pass of their own.
  std::span<const int32_t> experts;
  int64_t cache_rows = 0, prompt_rows = 0;
};

class StepRunner {
 public:
  // Up to `ahead` steps may be under way beside the one that is being started.
  StepRunner(Context& ctx, const ModelWeights& weights, const ModelConfig& config, size_t ahead);

  // Before each run: makes room. What was under way is dropped.
  void begin(const RunShape& shape);
  int64_t cache_blocks() const { return cache_.blocks - 1; }  // that a run may use
  // Queues a step.
  void start(const StepPlan& plan, std::span<const RolloutRequest> requests);
  // Steps that were started and not fetched.
  int64_t under_way() const { return static_cast<int64_t>(started_ - fetched_); }
  // Steps of the run before which the device had done all that was queued, and waited.
  int64_t starved() const { return starved_; }
  // Of the run, the host's seconds in steps whose recording was not there yet.
  double recording_seconds() const { return recording_seconds_; }
  // Waits for the oldest of them.
  const StepResult& fetch();

 private:
  // Tensors of a step's inputs.
  struct Rows {
    DecodeBatch batch;
    std::vector<int32_t> cu_seqlens;  // of prompts by a pass of their own
    Tensor cu_seqlens_tensor;
    std::vector<int32_t> cu_keys;  // of all tokens that they see, where that is more: `earlier`'s
    EarlierTokens earlier;
    SampleDraws draws;  // of the rows, one each
  };
  struct Starts {
    Tensor keeps;  // [u] i32  places of the kept states that are drawn from
    SampleDraws draws;
  };

  void make_room(const RunShape& shape);
  Rows decode_inputs(const StepPlan& plan, int64_t rows, int64_t padded);
  Rows prompt_inputs(const StepPlan& plan);
  void earlier_inputs(const StepPlan& plan, Rows& rows);
  SampleDraws draw_inputs(std::span<const PlannedDraw> draws,
                          std::span<const RolloutRequest> requests, std::span<const int32_t> rows,
                          int64_t padded);
  Starts start_inputs(const StepPlan& plan, std::span<const RolloutRequest> requests);
  Tensor decode(const Rows& rows);
  Tensor prefill(const Rows& rows, int64_t first_row);
  void keep(const StepPlan& plan, Tensor hidden, int64_t first_row);
  void draw(Tensor hidden, const SampleDraws& draws, int64_t first);
  void play_decode(const Rows& rows);
  void run_step(const StepPlan& plan, const Rows& rows, const Rows& prompts, const Starts& starts);

  // A step under way.
  struct Slot {
    HostBuffer output, experts, kept;
    QueueMark mark;
    int64_t draws = 0, cache_rows = 0, prompt_rows = 0;
    StepResult result = {};
  };

  // Where rows [first, first + rows) of those of all layers record their experts.
  Tensor experts_of(int64_t first, int64_t rows);

  Slot& slot() { return slots_[started_ % slots_.size()]; }

  Context& ctx_;
  const ModelWeights& weights_;
  const ModelConfig& config_;
  RunShape shape_;
  KvCache cache_;
  int64_t table_width_ = 0;
  OwnedTensor kept_;         // [max_samples, d]  the last hidden states of prompts
  OwnedTensor experts_;      // [MoE layers * most rows, K] i32; empty unless wanted
  OwnedTensor kept_tokens_;  // [most draws, kept_words(V)] i32; empty unless wanted
  OwnedTensor outputs_;      // memory of the next two
  Tensor numbers_, tokens_;  // [most draws, kNumberColumns] f64, [most draws] i32
  StepInputs inputs_;
  std::vector<int32_t> rows_;  // scratch of the host
  Arena recorded_scratch_;     // of recorded steps: nobody else moves it
  struct Recorded {
    Recording recording;
    int64_t plays = 0;  // the third is the first that only starts it
  };
  std::map<int64_t, Recorded> recordings_;    // by padded rows
  std::vector<const void*> recorded_places_;  // what they were recorded with
  std::vector<Slot> slots_;
  size_t started_ = 0, fetched_ = 0;
  int64_t starved_ = 0;
  double recording_seconds_ = 0.0;
};

}  // namespace temper
