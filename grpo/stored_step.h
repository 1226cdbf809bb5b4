// A step's rollout as the database has it, for a replay.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "data/store_reader.h"
#include "grpo/group.h"
#include "grpo/options.h"
#include "reward/composite.h"

namespace temper {

class StoredSteps {
 public:
  // Reads the run's prompts.
  StoredSteps(Database& database, int64_t run_id);

  const std::vector<Prompt>& prompts() const { return prompts_; }

  // What a batch is read against.
  struct Run {
    const GrpoOptions& options;
    const ModelConfig& config;
    const CompositeReward& reward;
    int64_t experts_per_token;  // MoE layers * num_experts_per_tok
  };
  // The batch that the step began with, verdicts included; totals, advantages and all that the
  // trainer computes are left to it. Throws UserError naming the sample if something was not kept
  // (--log-tokens, inspect prune) or cannot be what a run has written.
  StepBatch batch(int64_t step, const Run& run) const;

 private:
  GrpoSample sample_of(const SampleRow& row, const Run& run) const;
  void check_ids(const SampleRow& row, const Run& run) const;

  Database& database_;
  int64_t run_id_;
  std::vector<Prompt> prompts_;
  std::map<int64_t, size_t> places_;  // of prompt ids
};

}  // namespace temper
