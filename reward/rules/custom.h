// The rule `custom`: a rule of the user's own, put together from parameters.
#pragma once

#include <optional>
#include <string>

#include "reward/registry.h"

namespace temper {

// Extracts an answer (`find`: answer, final, all, regex, tag, json) and compares it with the row's
// `field` (`compare`: exact, number, set, one_of): 1 or 0. docs/rewards.md says each exactly.
RuleInfo custom_rule();

// The value that a JSON pointer leads to, or nullptr: "/a/0" in {"a":[1]}.
// Source: RFC 6901.
const JsonValue* find_by_pointer(const JsonValue& root, std::string_view pointer);

}  // namespace temper
