// The named functions on complex balls.
#pragma once

#include <string>

#include "reward/math/numeric.h"

namespace temper {

// Sets `out` to name(x), or name(x, y) where y is given: for log, y is the base. log without a base
// is the natural logarithm, lg that of base ten. False if the name is not known, or the value is
// undefined or, under point.real_only, not real.
bool call_function(const std::string& name, const Ball& x, const Ball* y,
                   const EvaluationPoint& point, Ball& out);

}  // namespace temper
