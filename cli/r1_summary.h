// What a chain came to: one table of all stages, and their curves.
#pragma once

#include <filesystem>
#include <string>

#include "cli/recipe.h"
#include "data/sqlite.h"

namespace temper {

struct ChainSummary {
  std::string table;  // a line a stage that learned, sampled or was measured
  std::string svg;
};

// Reads the stages' databases in `folder`. A model's pass@1 is that of the first eval stage whose
// --model is that stage's output; stages that have not run are left out.
ChainSummary summarise_chain(const Recipe& recipe, const std::filesystem::path& folder,
                             Database& database, int64_t run_id);

}  // namespace temper
