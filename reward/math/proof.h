// Proving that two values are the same.
#pragma once

#include <map>
#include <string>

#include "reward/math/budget.h"
#include "reward/math/node.h"

namespace temper {

// Whether the two are proved to be equal: constants as numbers, expressions with symbols as
// functions in a neighbourhood of the point. Both are written over the same logarithms,
// exponentials and angles (elementary.h), and their difference is shown to vanish (zero_test.h).
// False says nothing: it may be that they differ, that the proof is beyond these means, or that
// the budget is spent.
bool proves_equal(const Node& a, const Node& b, const std::map<std::string, double>& point,
                  MathBudget& budget);

}  // namespace temper
