// The rule `rm`: a reward model's score of the answer.
#pragma once

#include "reward/preference/engine_access.h"

namespace temper {

// docs/rewards.md says what its parameters mean.
RuleInfo rm_rule(const EngineAccess& access);

}  // namespace temper
