// The database's row of a run: what was run, on which data, by which build.
#pragma once

#include <filesystem>
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
  int64_t micro_batch_tokens = 0;  // of training; else 0
  std::string chat_template = {};  // its id; "": rows of ids, no text
};

// The row with the resolved options, the command line, the version and the hash of each data file;
// its environment as docs/database.md says.
NewRun run_row(const Invocation& cli, const RunFacts& facts);

// {"file": "fnv1a:...", ...} of data files, as the row keeps it. Throws UserError.
std::string data_hashes(const std::vector<std::string>& files);
// {"model.safetensors": "xxh64:...", ...} of a model folder's configuration and weights.
std::string model_checksums(const std::filesystem::path& dir);

}  // namespace temper
