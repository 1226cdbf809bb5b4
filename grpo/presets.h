// Published settings of the family, by name.
#pragma once

#include <vector>

#include "core/options.h"

namespace temper {

// r1-zero, r1, deepseekmath, dapo, dr-grpo, gspo, cispo: flags of `temper grpo` with the published
// values. docs/objectives.md cites each; what a paper does not say stays at the default.
std::vector<OptionPreset> grpo_presets();

}  // namespace temper
