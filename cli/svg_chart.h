// Curves as an SVG picture.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace temper {

struct Chart {
  std::string title, x_label;
  std::vector<std::pair<double, double>> points;  // x ascending
  bool dots = false;                              // mark each point: few, and each counts
  std::vector<double> errors = {};                // of the points: a bar of this up and down
};

// The charts side by side, three in a row, each with its own axes. Valid XML; no outside files.
std::string svg_of(const std::vector<Chart>& charts);

}  // namespace temper
