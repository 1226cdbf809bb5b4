// The rule `regex`: the answer matches a pattern.
#pragma once

#include "reward/registry.h"

namespace temper {

// 1 if the pattern matches: the parameter `pattern`, or the row's gold where that is not given.
// `part=answer` judges the answer as `exact` takes it, `final` what follows </think>, `all` the
// whole completion; `match=whole` wants all of it to match, `search` any part. RE2's syntax; time
// is linear in the text.
RuleInfo regex_rule();

}  // namespace temper
