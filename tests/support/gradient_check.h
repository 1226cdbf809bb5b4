// Central differences in f64 against the gradient that an op or a layer computes.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "core/random.h"
#include "core/tensor.h"

namespace temper::test {

// Fills every element of `t` (f32 or f64, strided or not) with draws from N(0, sigma^2).
inline void fill_normal(const Tensor& t, uint64_t seed, double sigma = 1.0) {
  Random random(seed, RandomStream::data);
  dispatch_float(t.dtype, [&]<class T>() {
    for (int64_t i = 0; i < t.rows(); ++i)
      for (int64_t j = 0; j < t.cols(); ++j)
        t.row<T>(i)[j] = static_cast<T>(sigma * random.normal());
  });
}

inline void fill_constant(const Tensor& t, double value) {
  dispatch_float(t.dtype, [&]<class T>() {
    for (int64_t i = 0; i < t.rows(); ++i)
      std::fill(t.row<T>(i), t.row<T>(i) + t.cols(), static_cast<T>(value));
  });
}

// sum over all elements of a * b: the loss whose gradient by `a` is `b`.
inline double dot_all(const Tensor& a, const Tensor& b) {
  double sum = 0.0;
  for (int64_t i = 0; i < a.rows(); ++i)
    for (int64_t j = 0; j < a.cols(); ++j) sum += a.row<double>(i)[j] * b.row<double>(i)[j];
  return sum;
}

struct GradientError {
  double relative = 0.0;  // |difference|_max over the larger of the largest gradient and 1e-3
  std::string where = {};
};

// Compares `gradient` [f64] with the central differences of loss() by `input` [f64], element by
// element (at most `samples`, spread evenly). The five-point formula with step h has an error of
// order h^4, so h may be large enough that rounding does not show.
inline GradientError check_gradient(const Tensor& input, const Tensor& gradient,
                                    const std::function<double()>& loss, int64_t samples = 200,
                                    double h = 1e-3) {
  double largest = 1e-3, difference = 0.0;
  GradientError error;
  const int64_t n = input.numel(), step = std::max<int64_t>(1, n / samples);
  for (int64_t e = 0; e < n; e += step) {
    double& x = input.row<double>(e / input.cols())[e % input.cols()];
    const double kept = x;
    const auto at = [&](double offset) {
      x = kept + offset;
      const double value = loss();
      x = kept;
      return value;
    };
    const double numeric = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
    const double analytic = gradient.row<double>(e / input.cols())[e % input.cols()];
    largest = std::max({largest, std::abs(numeric), std::abs(analytic)});
    const double off = std::abs(numeric - analytic);
    if (!std::isnan(difference) && !(off <= difference)) {
      difference = off;
      error.where = "element " + std::to_string(e) + ": difference quotient " +
                    std::to_string(numeric) + ", gradient " + std::to_string(analytic);
    }
  }
  error.relative = difference / largest;
  return error;
}

}  // namespace temper::test
