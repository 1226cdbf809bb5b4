#include "data/store_step.h"

#include <algorithm>
#include <cmath>

#include "core/moment.h"
#include "data/store_blobs.h"

namespace temper {
namespace {

// NULL stands for an array that was not computed; an empty completion has empty arrays.
template <class T>
std::optional<Blob> optional_blob(std::span<const T> values, size_t tokens) {
  if (values.empty() && tokens != 0) return std::nullopt;
  return as_blob(values);
}

// The arrays of a sample that --log-tokens may leave out.
NewSample stored_arrays(NewSample sample) {
  if (sample.keep_tokens) return sample;
  sample.loss_mask = sample.clips = {};
  sample.rollout_logprobs = sample.trainer_logprobs = sample.reference_logprobs = {};
  sample.entropies = sample.token_advantages = {};
  sample.kept_counts = sample.kept_ids = {};
  sample.experts = {};
  return sample;
}

// NULL stands for an array that there is not.
template <class T>
std::optional<Blob> given_blob(std::span<const T> values) {
  if (values.empty()) return std::nullopt;
  return as_blob(values);
}

std::optional<double> sum(std::span<const float> logprobs, size_t tokens) {
  if (logprobs.empty() && tokens != 0) return std::nullopt;
  double total = 0;
  for (const float value : logprobs) total += value;
  return total;
}

std::optional<double> max_difference(const NewSample& sample) {
  if (sample.rollout_logprobs.empty() || sample.trainer_logprobs.empty()) return std::nullopt;
  double largest = 0;
  for (size_t i = 0; i < sample.ids.size(); ++i) {
    if (!sample.loss_mask.empty() && sample.loss_mask[i] == 0) continue;
    const double difference =
        std::abs(double{sample.rollout_logprobs[i]} - double{sample.trainer_logprobs[i]});
    if (std::isnan(difference)) return difference;  // stored as NULL: no bound was measured
    largest = std::max(largest, difference);
  }
  return largest;
}

void check_lengths(const NewSample& sample) {
  const size_t tokens = sample.ids.size();
  for (const size_t length :
       {sample.loss_mask.size(), sample.rollout_logprobs.size(), sample.trainer_logprobs.size(),
        sample.reference_logprobs.size(), sample.token_advantages.size(), sample.kept_counts.size(),
        sample.entropies.size(), sample.clips.size()}) {
    require(length == 0 || length == tokens, "a per-token array has another length than ids");
  }
}

}  // namespace

StepWriter::StepWriter(Store& store, const StepKey& key, int64_t policy_version)
    : store_(store),
      database_(store.database_),
      key_(key),
      policy_version_(policy_version),
      transaction_(store.database_) {
  require(!store.step_open_, "a step is open already");
  if (database_.value<int>("SELECT 1 FROM steps WHERE run_id = ? AND kind = ? AND step = ?",
                           key.run_id, key.kind, key.step)) {
    throw UserError({.what = key.kind + " step " + std::to_string(key.step) + " of run " +
                             std::to_string(key.run_id) + " is in the database already",
                     .where = database_.path().string(),
                     .hint = "resume the run, or give another --out"});
  }
  database_.execute(
      "INSERT INTO steps (run_id, kind, step, policy_version, started) VALUES (?, ?, ?, ?, ?)",
      key.run_id, key.kind, key.step, policy_version, unix_seconds());
  store_.step_open_ = true;
}

StepWriter::StepWriter(Store& store, const StepKey& key, Reopen)
    : store_(store), database_(store.database_), key_(key), transaction_(store.database_) {
  require(!store.step_open_, "a step is open already");
  const auto version = database_.value<int64_t>(
      "SELECT policy_version FROM steps WHERE run_id = ? AND kind = ? AND step = ?", key.run_id,
      key.kind, key.step);
  require(version.has_value(), "only a committed step can be reopened");
  policy_version_ = *version;
  store_.step_open_ = true;
}

StepWriter::~StepWriter() {
  if (!transaction_.open()) return;
  try {
    transaction_.rollback();
    for (const Store::Event& event : store_.events_of_step_) store_.write_event(event);
  } catch (...) {  // the database is out of reach; the error that brought us here says more
  }
  close();
}

void StepWriter::close() {
  store_.step_open_ = false;
  store_.events_of_step_.clear();
}

int64_t StepWriter::add_prompt(const NewPrompt& prompt) {
  const auto known = database_.value<int64_t>("SELECT id FROM prompts WHERE run_id = ? AND key = ?",
                                              key_.run_id, prompt.key);
  if (known) return *known;
  database_.execute(
      "INSERT INTO prompts (run_id, key, text, ids, reference, data) VALUES (?, ?, ?, ?, ?, ?)",
      key_.run_id, prompt.key, prompt.text, as_blob(prompt.ids), prompt.reference,
      json_or_empty(prompt.data));
  return database_.last_insert_id();
}

void StepWriter::add_prompt_experts(int64_t group_index, std::span<const uint16_t> experts) {
  database_.execute(
      "INSERT INTO prompt_experts (run_id, kind, step, group_index, experts)"
      " VALUES (?, ?, ?, ?, ?)",
      key_.run_id, key_.kind, key_.step, group_index, as_blob(experts));
}

int64_t StepWriter::add_sample(const NewSample& sample) {
  check_lengths(sample);
  const size_t tokens = sample.ids.size();
  const NewSample stored = stored_arrays(sample);
  const auto array = [&](auto values) {
    return stored.keep_tokens ? optional_blob(values, tokens) : std::nullopt;
  };
  database_.execute(
      "INSERT INTO samples (run_id, kind, step, group_index, sample_index, prompt_id,"
      " policy_version, tokens, finish_reason, reward, advantage, zero_signal, truncated, dropped,"
      " rollout_logprob, trainer_logprob, reference_logprob, max_logprob_difference,"
      " queue_seconds, generate_seconds, completion, ids, loss_mask, rollout_logprobs,"
      " trainer_logprobs, reference_logprobs, token_advantages,"
      " kept_counts, kept_ids, experts, entropies, clips)"
      " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
      key_.run_id, key_.kind, key_.step, sample.group_index, sample.sample_index, sample.prompt_id,
      sample.policy_version.value_or(policy_version_), tokens, sample.finish_reason, sample.reward,
      sample.advantage, sample.zero_signal, sample.truncated, sample.dropped,
      sum(sample.rollout_logprobs, tokens), sum(sample.trainer_logprobs, tokens),
      sum(sample.reference_logprobs, tokens), max_difference(sample), sample.queue_seconds,
      sample.generate_seconds, sample.completion, as_blob(sample.ids), array(stored.loss_mask),
      array(stored.rollout_logprobs), array(stored.trainer_logprobs),
      array(stored.reference_logprobs), given_blob(stored.token_advantages),
      given_blob(stored.kept_counts), given_blob(stored.kept_ids), given_blob(stored.experts),
      given_blob(stored.entropies), given_blob(stored.clips));
  return database_.last_insert_id();
}

void StepWriter::add_reward(int64_t sample_id, const NewReward& reward) {
  store_.put_reward(sample_id, reward);
}

void StepWriter::add_metric(std::string_view name, double value) {
  database_.execute(
      "INSERT OR REPLACE INTO metrics (run_id, kind, step, name, value) VALUES (?, ?, ?, ?, ?)",
      key_.run_id, key_.kind, key_.step, name, value);
}

void StepWriter::add_eval(const NewEval& eval) {
  database_.execute(
      "INSERT INTO evals (run_id, kind, step, task, prompts, samples_per_prompt, temperature,"
      " top_p, max_new_tokens, pass_at_1, standard_error, format_rate, mean_tokens,"
      " truncated_rate, details) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
      key_.run_id, key_.kind, key_.step, eval.task, eval.prompts, eval.samples_per_prompt,
      eval.temperature, eval.top_p, eval.max_new_tokens, eval.pass_at_1, eval.standard_error,
      eval.format_rate, eval.mean_tokens, eval.truncated_rate, json_or_empty(eval.details));
}

int64_t StepWriter::add_checkpoint(const NewCheckpoint& checkpoint) {
  database_.execute(
      "INSERT INTO checkpoints (run_id, kind, step, path, policy_version, bytes, saved,"
      " trainer_state) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      key_.run_id, key_.kind, key_.step, checkpoint.path, checkpoint.policy_version,
      checkpoint.bytes, unix_seconds(), json_or_empty(checkpoint.trainer_state));
  return database_.last_insert_id();
}

void StepWriter::commit(const StepTotals& totals) {
  database_.execute(
      "UPDATE steps SET committed = ?, wall_seconds = ?, trained_tokens = ?,"
      " generated_tokens = ?, weights_checksum = ? WHERE run_id = ? AND kind = ? AND step = ?",
      unix_seconds(), totals.wall_seconds, totals.trained_tokens, totals.generated_tokens,
      totals.weights_checksum, key_.run_id, key_.kind, key_.step);
  commit_additions();
}

void StepWriter::commit_additions() {
  reach_moment("commit");
  transaction_.commit();
  reach_moment("committed");
  close();
}

}  // namespace temper
