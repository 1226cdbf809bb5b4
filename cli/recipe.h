// A recipe: the stages of a chain, each a subcommand with its options, in a file.
//
//   [recipe]
//   name = "r1-tiny"                 a title for plan and table
//   seed = 1                         for every stage that has the option and does not set it
//   architecture = "deepseek-v3"     preset by which --dry-run plans memory (optional)
//
//   [cold-start]                     a stage; its name names its output too
//   run = "sft"                      the subcommand
//   like = "other-stage"             values of that earlier stage, where this one sets none
//   model = "{init}"                 an option by flag or key; {NAME} is the output of a stage
//   label = "after SFT"              what the table calls it (optional; default: the subcommand)
//   out = "cold-start"               in the chain's folder; default: the stage's name
//   plan_samples = 1000              for --dry-run, where a file is not there yet: how many rows
//   plan_tokens = 800                and of how many tokens each (mean)
//   plan_architecture = "..."        another preset for this stage; "none": no memory is planned
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "cli/subcommands.h"

namespace temper {

// A value of a stage's option, as written.
struct RecipeValue {
  std::vector<std::string> items;
  int line = 0;
};

struct RecipeStage {
  std::string name, run;
  std::string label;
  std::string out;  // relative to the chain's folder
  int line = 0;
  std::map<std::string, RecipeValue> values;  // by flag
  double plan_samples = 0.0, plan_tokens = 0.0;
  std::string plan_architecture;
};

struct Recipe {
  std::filesystem::path path;
  std::string name, architecture;
  int64_t seed = 1;
  std::vector<RecipeStage> stages;

  // Throws UserError naming --from or --until and the nearest stage.
  size_t find(const std::string& stage, const std::string& where) const;
};

// Reads the file. Throws UserError "<file>:<line>" for a stage without `run`, an unknown subcommand
// or option (with the nearest known one), a reference to a stage that does not come before, and
// two stages with one output.
Recipe read_recipe(const std::filesystem::path& path);

// What a stage reads: the files and folders that its options name.
struct StageInput {
  std::string flag, path;
  std::string from;  // the stage that makes it; "": from outside
};
std::vector<StageInput> stage_inputs(const Recipe& recipe, const RecipeStage& stage,
                                     const std::filesystem::path& folder);

// The arguments of the stage, "sft --model runs/r1/init ...": references become paths in `folder`.
std::vector<std::string> stage_arguments(const Recipe& recipe, const RecipeStage& stage,
                                         const std::filesystem::path& folder);

}  // namespace temper
