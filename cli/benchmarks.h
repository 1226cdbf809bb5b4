// The public benchmarks that `temper eval --benchmark` knows by name.
#pragma once

#include <vector>

#include "core/option_preset.h"

namespace temper {

// Each sets --data (relative to --data-dir), --reward, --suffix, --task and how is sampled; what is
// given on the command line wins. docs/evaluation.md has the table with sources.
std::vector<OptionPreset> eval_benchmarks();

}  // namespace temper
