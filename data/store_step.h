// One step of a run as one transaction.
#pragma once

#include "data/store.h"

namespace temper {

// Open it when the step's rows are at hand, insert all that the optimiser will use, step the
// optimiser, add the metrics, and commit. Until commit() no reader sees any of it; a StepWriter
// that ends without commit(), or a process that dies, leaves the database as it was before.
// Readers never wait for an open step; another writer does.
//
// A checkpoint: write its folder under a temporary name, sync and rename it, then
// add_checkpoint() and commit(). A folder without a row is not a checkpoint: a crash came between.
class StepWriter {
 public:
  // Throws UserError if the step is recorded already (resume first discards what comes after its
  // checkpoint); SqliteError.
  StepWriter(Store& store, const StepKey& key, int64_t policy_version);
  // Reopens a committed step to add what was not due then: a checkpoint when a run is interrupted
  // before its next step is whole. Throws ContractError if the step is not recorded.
  struct Reopen {};
  StepWriter(Store& store, const StepKey& key, Reopen);
  ~StepWriter();
  StepWriter(const StepWriter&) = delete;
  StepWriter& operator=(const StepWriter&) = delete;

  // The id of the prompt with this key in the run, inserted if it is new.
  int64_t add_prompt(const NewPrompt& prompt);

  // Stores where the tokens of a group's prompt went, for samples whose own `experts` leave it out.
  void add_prompt_experts(int64_t group_index, std::span<const uint16_t> experts);

  // Inserts a sample and returns its id. Also stored: the sums of its log-probabilities and
  // max_logprob_difference = max_t |rollout_t - trainer_t| over tokens that the mask lets in.
  // Throws ContractError if an array is neither empty nor of the length of ids.
  int64_t add_sample(const NewSample& sample);

  void add_reward(int64_t sample_id, const NewReward& reward);  // as Store::put_reward
  // A value that is not a number is stored as NULL. The same name twice in a step: the last counts.
  void add_metric(std::string_view name, double value);
  void add_eval(const NewEval& eval);
  // Returns the checkpoint's id.
  int64_t add_checkpoint(const NewCheckpoint& checkpoint);

  // From here on readers see the step. Throws SqliteError; nothing of it is then kept.
  void commit(const StepTotals& totals);
  // Commits what was added to a reopened step; its totals stay.
  void commit_additions();
  const StepKey& key() const { return key_; }

 private:
  void close();

  Store& store_;
  Database& database_;
  StepKey key_;
  int64_t policy_version_ = 0;
  Transaction transaction_;
};

}  // namespace temper
