// The rule `judge`: a language model says how good the answer is.
#pragma once

#include "reward/preference/engine_access.h"

namespace temper {

// docs/rewards.md says what its parameters mean.
RuleInfo judge_rule(const EngineAccess& access);

}  // namespace temper
