// What stands beside a value: its name before the '=', its unit behind it.
#pragma once

#include <optional>
#include <string>

#include "reward/math/node.h"

namespace temper {

// A value without its sign of percent, degree or unit, and what that was.
struct Measured {
  NodePtr value;
  NodeKind kind = NodeKind::number;  // percent, degree, quantity; number: none
  std::string unit = {};
};
Measured measured(const NodePtr& node);

// 10 m/s whose units are written as letters of a formula, as a quantity; nullptr if a symbol in the
// product is no unit.
NodePtr with_letters_as_units(const NodePtr& node);

// x, AB, |v|, f(x), f(2), dy/dx: what may stand before the '=' of an answer.
bool is_name(const Node& node);

// The tree with a symbol for each value of a function: f(2) is no product of f and 2, and I(0) is
// not 0.
NodePtr with_function_values(const NodePtr& node);
bool holds_function_values(const Node& node);

// Names of quantities that a gold may put before its value: AB/CD, |AB|, A:B, (p, q).
bool is_quantity_name(const Node& node);

}  // namespace temper
