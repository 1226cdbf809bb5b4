#include "reward/preference/engine_access.h"
#include "reward/preference/judge_rule.h"
#include "reward/preference/rm_rule.h"

namespace temper {

void add_model_rules(RewardRegistry& registry, const EngineAccess& access) {
  registry.add(rm_rule(access));
  registry.add(judge_rule(access));
}

}  // namespace temper
