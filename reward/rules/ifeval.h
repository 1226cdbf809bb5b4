// The rule `ifeval`: the instructions of an IFEval row.
#pragma once

#include "reward/registry.h"

namespace temper {

// Checks the row's instruction_id_list[i] with kwargs[i] on what follows </think>.
// `credit=all`: 1 if all hold, else 0; `credit=share`: the share that holds. `mode=loose` accepts a
// response also without its first line, its last, both, and without '*', as IFEval's loose metric.
// An id that is not one of the 25 is an `error`; arguments that are missing are `bad_gold`.
// Source: Zhou et al., 2023.
RuleInfo ifeval_rule();

}  // namespace temper
