// The stages of a chain in its database: what each was, read and left.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/store.h"

namespace temper {

struct NewStage {
  std::string name;
  int64_t position = 0;
  std::string subcommand, command, output;
};

struct StageRow {
  int64_t id = 0;
  std::string name, subcommand, command, output, status;
  double started = 0.0;
  std::optional<double> finished;
};

// A file or folder at one end of a stage.
struct LineageItem {
  std::string role, path, hash;
  std::optional<int64_t> from_stage = {};  // of an input
};

// Records a stage as running, with what it reads, in one transaction; returns its id.
int64_t begin_stage(Database& database, int64_t run_id, const NewStage& stage,
                    const std::vector<LineageItem>& inputs);
// Records how it ended and, with status "done", what it left; one transaction.
void finish_stage(Database& database, int64_t stage_id, const std::string& status,
                  const std::vector<LineageItem>& outputs);
// The status alone: of one that goes on ("running") or is replaced ("set aside").
void set_stage_status(Database& database, int64_t stage_id, const std::string& status);

// The last row of that name that was not set aside, if there is one.
std::optional<StageRow> find_stage(Database& database, int64_t run_id, const std::string& name);

// "fnv1a:..." of a file's bytes, or of a folder's names and bytes in order; of files above 256 MiB
// the size and the first and last MiB. Throws UserError if there is no such file or folder.
std::string path_fingerprint(const std::filesystem::path& path);

}  // namespace temper
