// The rows of a run's database: what callers hand to the store (New...) and get back (...Row).
// docs/database.md says what every column means.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace temper {

// A step of one kind in a run. Training steps count from 1; an eval at step 0 is before training.
struct StepKey {
  int64_t run_id = 0;
  std::string kind;  // sft, grpo, rollout, eval
  int64_t step = 0;
};

struct NewRun {
  std::string kind;   // the subcommand
  std::string model;  // the model folder
  uint64_t seed = 0;
  std::string code_version;
  std::string command_line;
  std::string config = "{}";       // JSON object: the resolved options
  std::string data_hashes = "{}";  // JSON object: file -> hash
  std::string environment = "{}";  // JSON object: machine, threads, types
};

// A run that goes on.
struct Resume {
  int64_t run_id = 0;
  int64_t step = 0;  // of the checkpoint; 0: from the beginning
  std::string_view command_line, code_version;
  std::optional<std::string> config = {};  // JSON object: the run's column from now on
};

struct NewPrompt {
  std::string_view key;   // names the prompt within the run: "train.jsonl:17"
  std::string_view text;  // as the model reads it
  std::span<const int32_t> ids;
  std::optional<std::string_view> reference = {};  // the gold answer
  std::string_view data = "{}";                    // JSON object
};

// Per-token arrays have one element a completion token; an empty array is stored as NULL
// ("not computed") unless the completion is empty.
struct NewSample {
  int64_t prompt_id = 0;
  int64_t group_index = 0;                     // the group in its step
  int64_t sample_index = 0;                    // the sample in its group
  std::optional<int64_t> policy_version = {};  // the step's, unless told
  std::string_view completion;
  std::string_view finish_reason;
  std::span<const int32_t> ids;
  std::span<const uint8_t> loss_mask = {};
  std::span<const float> rollout_logprobs = {};
  std::span<const float> trainer_logprobs = {};
  std::span<const float> reference_logprobs = {};
  std::span<const float> token_advantages = {};
  std::span<const int32_t> kept_counts = {}, kept_ids = {};  // of the sampler's sets
  std::span<const uint16_t> experts = {};  // data/expert_trace.h; see add_prompt_experts()
  std::span<const float> entropies = {};   // with trainer_logprobs
  std::span<const uint8_t> clips = {};     // what bound each token's ratio
  // false: of the arrays only ids are stored, and the sums over the others.
  bool keep_tokens = true;
  std::optional<double> reward = {};
  std::optional<double> advantage = {};
  bool zero_signal = false;
  bool truncated = false;
  std::optional<std::string_view> dropped = {};  // why the optimiser did not use it
  std::optional<double> queue_seconds = {};
  std::optional<double> generate_seconds = {};
};

// What one rule said of one sample. No value: the rule could not judge.
struct NewReward {
  std::string_view rule;  // the component's name
  std::optional<double> value = {};
  double weight = 1.0;
  bool counted = true;      // false: its gate was closed
  std::string_view status;  // ok, wrong, no_answer, bad_gold, timeout, error
  std::optional<std::string_view> extracted = {};
  std::optional<std::string_view> reason = {};
  int64_t microseconds = 0;
};

struct NewEval {
  std::string_view task;
  int64_t prompts = 0;
  int64_t samples_per_prompt = 1;
  double temperature = 1.0;
  double top_p = 1.0;
  int64_t max_new_tokens = 0;
  std::optional<double> pass_at_1 = {};
  std::optional<double> standard_error = {};
  std::optional<double> format_rate = {};
  std::optional<double> mean_tokens = {};
  std::optional<double> truncated_rate = {};
  std::string_view details = "{}";  // JSON object
};

// A checkpoint folder that is complete on the disk under its final name.
struct NewCheckpoint {
  std::string_view path;  // relative to the run directory
  int64_t policy_version = 0;
  int64_t bytes = 0;
  std::string_view trainer_state = "{}";  // JSON object
};

struct StepTotals {
  double wall_seconds = 0;
  std::optional<int64_t> trained_tokens = {};
  std::optional<int64_t> generated_tokens = {};
  std::optional<std::string> weights_checksum = {};
};

enum class RunStatus { running, done, failed, interrupted };
enum class EventLevel { info, warning, error };

}  // namespace temper
