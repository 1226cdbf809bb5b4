// The database's row of a run: what was run, on which data, by which build.
#pragma once

#include <string>
#include <vector>

#include "cli/subcommands.h"
#include "core/dtype.h"
#include "data/store_step.h"

namespace temper {

struct RunFacts {
  std::string kind;  // sft, grpo, rollout, eval
  std::string model;
  const std::vector<std::string>& data;  // files
  int64_t seed = 0;
  DType dtype = DType::f32;
};

// The row with the resolved options, the command line, the version and the hash of each data file.
NewRun run_row(const Invocation& cli, const RunFacts& facts);

}  // namespace temper
