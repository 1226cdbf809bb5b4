// What a recipe would do, before it does it.
#pragma once

#include <filesystem>
#include <string>

#include "cli/recipe.h"

namespace temper {

// The plan of `temper r1 --dry-run`: of each stage what it reads and leaves, how many steps and
// tokens at most, and the memory it takes. Every option is checked as the stage itself would.
// Throws UserError for a stage whose options are wrong.
std::string plan_text(const Recipe& recipe, const std::filesystem::path& folder);

}  // namespace temper
