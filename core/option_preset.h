// A named set of values for the options of a table.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace temper {

struct OptionPreset {
  std::string name;
  std::vector<std::pair<std::string, std::string>> values;  // flag and text
};

}  // namespace temper
