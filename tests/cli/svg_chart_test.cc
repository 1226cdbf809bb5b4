#include "cli/svg_chart.h"

#include <algorithm>
#include <string>

#include "tests/support/catch.h"

namespace temper {
namespace {

TEST_CASE("a chart of many points stays small and keeps its spike") {
  Chart chart{.title = "long", .x_label = "step", .points = {}};
  for (int i = 0; i < 100000; ++i) chart.points.emplace_back(i, i == 54321 ? 9.0 : 1.0);
  const std::string svg = svg_of({chart});
  REQUIRE(svg.size() < 20000);
  const size_t line = svg.find("<polyline points=\"");
  REQUIRE(line != std::string::npos);
  REQUIRE(std::count(svg.begin() + static_cast<long>(line), svg.end(), ',') > 260);
  // The highest point is at the top of the frame, 30 pixels below the picture's edge.
  REQUIRE(svg.find(",30.0 ", line) != std::string::npos);
}

TEST_CASE("a chart of few points draws each") {
  const Chart chart{.title = "short", .x_label = "step", .points = {{1, 0}, {2, 1}, {3, 0}}};
  REQUIRE(svg_of({chart}).find("points=\"48.0,166.0 178.0,30.0 308.0,166.0\"") !=
          std::string::npos);
}

}  // namespace
}  // namespace temper
