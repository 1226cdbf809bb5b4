// The largest of differences, without losing one that is no number.
#pragma once

#include <cmath>

namespace temper::test {

// The larger one; NaN if either is.
inline double worse(double a, double b) {
  return std::isnan(a) || b <= a ? a : b;
}

}  // namespace temper::test
