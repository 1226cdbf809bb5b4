// What is read back from a run's database: by a resume, by re-scoring, by `inspect` and by tests.
// Works on a writing and on a read-only connection alike.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/store.h"

namespace temper {

// A read-only connection to the database that `run` names (a run directory or the file); of an
// older schema up to 1 GiB, to a copy that is brought forward.
// Throws UserError if it is absent, no Temper database, newer, or older and larger.
Database open_for_reading(const std::filesystem::path& run);
// Makes another run's database the schema `other` of the connection.
// Throws UserError if it is absent, no Temper database, or of another schema.
void attach_for_reading(Database& database, const std::filesystem::path& run);

struct RunRow {
  int64_t id = 0;
  std::string kind, status;
  double started = 0;
  std::optional<double> finished;
  std::string model;
  uint64_t seed = 0;
  std::string code_version, command_line;
  std::string config, data_hashes, environment;  // JSON objects
};

struct StepRow {
  StepKey key;
  int64_t policy_version = 0;
  double started = 0, committed = 0, wall_seconds = 0;
  std::optional<int64_t> trained_tokens, generated_tokens;
  std::optional<std::string> weights_checksum;
};

struct CheckpointRow {
  int64_t id = 0;
  StepKey key;
  std::string path;  // relative to the run directory
  int64_t policy_version = 0;
  int64_t bytes = 0;
  double saved = 0;
  std::string trainer_state;
};

struct PromptRow {
  int64_t id = 0, run_id = 0;
  std::string key, text;
  std::vector<int32_t> ids;
  std::optional<std::string> reference;
  std::string data;
};

// Per-token arrays are empty where the database has NULL.
struct SampleRow {
  int64_t id = 0;
  StepKey key;
  int64_t group_index = 0, sample_index = 0, prompt_id = 0, policy_version = 0;
  std::string completion, finish_reason;
  std::vector<int32_t> ids;
  std::vector<uint8_t> loss_mask;
  std::vector<float> rollout_logprobs, trainer_logprobs, reference_logprobs;
  std::vector<float> token_advantages;  // empty: `advantage` for each
  std::vector<int32_t> kept_counts, kept_ids;
  std::vector<uint16_t> experts;  // of prompt and completion
  std::vector<float> entropies;
  std::vector<uint8_t> clips;
  std::optional<double> reward, advantage, max_logprob_difference;
  bool zero_signal = false, truncated = false;
  std::optional<std::string> dropped;
};

struct RewardRow {
  std::string rule;
  std::optional<double> value;
  double weight = 0;
  bool counted = true;
  std::string status;
  std::optional<std::string> extracted, reason;
  int64_t microseconds = 0;
};

struct CurvePoint {
  int64_t step = 0;
  double value = 0;  // NaN where it was not a number
};

// All runs of the file, oldest first; one run, if there is one of that id.
std::vector<RunRow> read_runs(Database& database);
std::optional<RunRow> read_run(Database& database, int64_t run_id);

// The committed steps of that kind, or of every kind if it is empty, in order.
std::vector<StepRow> read_steps(Database& database, int64_t run_id, std::string_view kind);
// The last committed step of that kind, if there is one.
std::optional<StepRow> last_step(Database& database, int64_t run_id, std::string_view kind);
bool has_step(Database& database, const StepKey& key);

// The checkpoints whose folders are kept, oldest first.
std::vector<CheckpointRow> read_checkpoints(Database& database, int64_t run_id);
// The one a resume starts from.
std::optional<CheckpointRow> last_checkpoint(Database& database, int64_t run_id);

// The row of that id, if there is one.
std::optional<PromptRow> read_prompt(Database& database, int64_t prompt_id);
std::optional<SampleRow> read_sample(Database& database, int64_t sample_id);
// All samples of a step, by group and sample index: what the optimiser was given.
std::vector<SampleRow> read_samples(Database& database, const StepKey& key);
std::vector<RewardRow> read_rewards(Database& database, int64_t sample_id);

// The values of a metric of a kind of step, by step.
std::vector<CurvePoint> read_curve(Database& database, int64_t run_id, std::string_view kind,
                                   std::string_view name);

}  // namespace temper
