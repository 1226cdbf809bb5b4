// Sets of real numbers as disjoint spans: intervals, points, their unions, differences, and the
// solutions of simple inequalities.
#pragma once

#include <optional>
#include <vector>

#include "reward/math/budget.h"
#include "reward/math/node.h"

namespace temper {

struct Span {
  NodePtr low, high;  // as written, for exact comparison
  double low_value = 0, high_value = 0;
  bool low_closed = false, high_closed = false;
};

// The spans of the set in rising order, merged where they touch. A relation stands for the values
// of its one symbol that satisfy it: x > 2, 1 <= x < 3, x != 0, and lists of these joined by "or"
// or "and". nullopt if the node is no such set, or has ends that are not real constants.
std::optional<std::vector<Span>> spans_of(const Node& node, MathBudget& budget);

// Whether the ends are equal and of the same kind throughout.
bool same_spans(const std::vector<Span>& gold, const std::vector<Span>& answer, MathBudget& budget);

}  // namespace temper
