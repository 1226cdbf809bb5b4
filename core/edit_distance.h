// How far two names are from each other: for the nearest known name in an error.
#pragma once

#include <cstddef>
#include <string_view>

namespace temper {

// How many letters must be put in, taken out or changed to make one of the other.
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace temper
