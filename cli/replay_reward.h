// temper replay reward, and temper reward score --db: the samples of a run judged again.
#pragma once

#include <string>

#include "cli/subcommands.h"
#include "reward/composite.h"

namespace temper {

struct RescoreOptions {
  std::string db;      // a run directory or its database
  std::string out;     // verdicts as JSONL; "": none
  int64_t run = 0;     // 0: all runs of the database
  int64_t show = 10;   // changed samples to list
  bool write = false;  // put the new verdicts into the database
  bool json = false;   // the report as JSON
};

// The options beside the database and the reward.
void add_rescore_options(OptionsTable& table, RescoreOptions* o);

// Judges every sample, compares the verdicts with those stored under the component's name and
// reports the changes: by status, the mean values, and the first samples that changed.
// Throws UserError if there is no sample.
int rescore_database(const RescoreOptions& options, const CompositeReward& reward, Invocation& cli);

// A result as one JSON object. One component of weight 1: its verdict. Else the whole's value, and
// the verdicts under `components`.
std::string result_json(const CompositeReward& reward, const RewardResult& result);

}  // namespace temper
