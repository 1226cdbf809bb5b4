// What the rollout engine is asked for and what it answers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "data/expert_trace.h"
#include "data/kept_tokens.h"
#include "rollout/sampling_params.h"

namespace temper {

// Completions of one prompt. They share the prompt's cache.
struct RolloutRequest {
  std::vector<int32_t> prompt;  // at least one token
  int64_t samples = 1;
  int64_t max_new_tokens = 256;
  SamplingParams sampling = {};
  std::vector<int32_t> stop_ids = {};  // a sample ends with the first of these, which it includes
  SampleKey key = {};                  // key.sample is the number of the first sample
  bool entropy = false;
  bool kept = false;     // whether results say which tokens the filters kept
  bool experts = false;  // whether results say which experts their tokens went to
};

enum class FinishReason : uint8_t {
  stop,       // a stop id, or the caller's on_token said so (stop strings)
  length,     // max_new_tokens
  cancelled,  // interrupted; the ids so far are kept
};

// "stop", "length", "cancelled": the words of the database.
constexpr std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::cancelled:
      return "cancelled";
  }
  return "?";
}

// One completion. All vectors but the optional ones have one entry a token of `ids`.
struct SampleResult {
  std::vector<int32_t> ids;              // with the stop id that ended it
  std::vector<double> logprobs;          // full distribution at the temperature: the trainer's
  std::vector<double> sampled_logprobs;  // what it was drawn from; empty without filters
  std::vector<double> entropies;         // empty unless asked for
  KeptTokens kept;                       // empty unless asked for, and without filters
  ExpertTrace experts;                   // of prompt and completion; empty unless asked for
  FinishReason finish = FinishReason::cancelled;
  double first_token_seconds = 0.0;  // since the run began
  double seconds = 0.0;              // when it was done, since the run began
};

// Counts of one run.
struct RolloutStats {
  int64_t samples = 0, finished = 0;  // asked for, done
  int64_t prompt_tokens = 0;          // computed, each prompt once
  int64_t generated_tokens = 0;
  int64_t steps = 0;         // calls of the decoder
  int64_t starved = 0;       // steps of them that a GPU had to wait for, having no other to do
  double recording = 0.0;    // seconds of the host in steps that a GPU had no recording of yet
  int64_t peak_running = 0;  // samples in one step
  int64_t peak_blocks = 0;   // of the cache, in use at a time
  int64_t blocks = 0;        // that it has
  int64_t cache_bytes = 0;   // allocated
  double seconds = 0.0;
  double generated_per_second() const {
    return seconds > 0 ? static_cast<double>(generated_tokens) / seconds : 0;
  }
};

}  // namespace temper
