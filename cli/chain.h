// A recipe's stages run one after another, each recorded with its inputs and outputs.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "cli/recipe.h"
#include "core/file_lock.h"
#include "data/lineage.h"

namespace temper {

struct ChainOptions {
  std::filesystem::path folder;
  std::string from, until;  // stages; "": the first that is not complete, and the last
};

class Chain {
 public:
  // Opens or makes the chain's database, folder/run.db. Throws UserError if another process is at
  // work there.
  Chain(const Recipe& recipe, const ChainOptions& options, const std::string& program,
        Invocation& cli);

  // Runs what is not complete: a stage that was interrupted goes on where its subcommand can
  // (--resume), else its output is set aside (NAME.old-1) and it begins anew. Returns false if it
  // was interrupted. Throws UserError if a complete stage has another command than the recipe now
  // gives it, or if --from passes over one that is not complete; what a stage throws is recorded.
  bool run();

  Database& database() { return store_.database(); }
  int64_t id() const { return run_id_; }

 private:
  bool run_stages();
  bool stands(const std::optional<StageRow>& row);
  std::string first_left();
  bool is_complete(size_t index);
  bool run_stage(size_t index, bool anew);
  int64_t begin(size_t index, const std::string& command);
  void set_aside(const RecipeStage& stage, const std::optional<StageRow>& row);
  std::vector<LineageItem> inputs_of(const RecipeStage& stage);
  std::vector<LineageItem> outputs_of(const RecipeStage& stage) const;
  std::string relative(const std::filesystem::path& path) const;

  const Recipe& recipe_;
  ChainOptions options_;
  std::string program_;
  Invocation& cli_;
  FileLock lock_;
  Store store_;
  int64_t run_id_ = 0;
};

}  // namespace temper
