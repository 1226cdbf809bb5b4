// Numbers written as decimals, which say how exact they are.
#pragma once

#include <optional>

#include "reward/math/node.h"

namespace temper {

// 3.14, -0.50, 6.02 \times 10^{23}: the value, and one unit of its last place.
struct Decimal {
  mpq_class value, unit;
};
std::optional<Decimal> decimal_of(const Node& node);

// How far a value may lie from the decimal: half a unit of its last place, or 0 if that is coarse,
// more than 0.5 % of it.
mpq_class tolerance_of(const Decimal& decimal);

}  // namespace temper
