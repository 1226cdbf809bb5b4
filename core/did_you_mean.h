// The hint that a slip of the pen gets.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace temper {

// "did you mean 'X'?" of the known name X that is nearest to `name` (nearest_name in error.h), or
// "" where none is near.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& known);

}  // namespace temper
