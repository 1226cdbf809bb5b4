// Values of expressions as rigorous complex balls (Arb): a ball that does not hold 0 proves that
// two values differ, whatever the rounding.
#pragma once

#include <map>
#include <string>

#include "reward/math/budget.h"
#include "reward/math/flint.h"
#include "reward/math/node.h"

namespace temper {

struct EvaluationPoint {
  std::map<std::string, double> symbols;  // what each symbol stands for
  slong precision = 128;                  // bits
  bool real_only = false;  // roots and logarithms of negative numbers are undefined, not complex
};

// Sets `result` to a ball that holds the node's value. False if it is undefined there (a pole, a
// branch that `real_only` excludes, an exponent above 10^4 that is no exact integer), if a node has
// no value (a set, a relation), or if the budget is spent. Odd roots of negative reals are real.
bool evaluate(const Node& node, const EvaluationPoint& point, MathBudget& budget, Ball& result);

// The real value of a constant as a double; false if it has none. Infinity is one.
bool approximate(const Node& node, MathBudget& budget, double& value);

}  // namespace temper
