// What a recipe would do, before it does it.
#pragma once

#include <filesystem>
#include <string>

#include "cli/recipe.h"

namespace temper {

// Checks every option of every stage as the stage itself would, and the rules of its rewards by
// name. Throws UserError naming the recipe's line.
void check_stages(const Recipe& recipe, const std::filesystem::path& folder);

// The plan of `temper r1 --dry-run`: of each stage what it reads and leaves, how many steps and
// tokens at most, and the memory it takes. Throws as check_stages().
std::string plan_text(const Recipe& recipe, const std::filesystem::path& folder);

}  // namespace temper
