// Equality of two values: exact for rationals, by rigorous balls for other constants, by points for
// functions of variables.
#pragma once

#include "reward/math/budget.h"
#include "reward/math/node.h"

namespace temper {

// Whether the values are equal. Neither holds units, percents or relations at its top.
//   rational constants     exactly;
//   a gold written as a decimal of three digits or more: within half a unit of its last place,
//                          if that is at most half a percent of it; else exactly;
//   other constants        if that is proved (proof.h);
//   functions of symbols   they agree wherever both are defined among points that are positive,
//                          large and negative, there are enough such points, and around some of
//                          them they are proved to be the same.
// A log without a base is the natural one or that of base ten, the same throughout both values.
// False also when the budget is spent or a value is undefined; where neither equality nor
// difference could be shown the budget notes that (MathBudget::undecided).
bool same_value(const Node& gold, const Node& answer, MathBudget& budget);

// Whether left - right of two equations (or inequalities) are proportional: the same statement.
// `sign` of the factor must be positive (1), negative (-1) or may be either (0).
bool proportional(const Node& gold, const Node& answer, int sign, MathBudget& budget);

}  // namespace temper
