#include "distill/kl.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "core/error.h"

namespace temper {
namespace {

// log sum exp of row / temperature.
template <class T>
double log_sum_exp(std::span<const T> row, double inverse) {
  const double top = static_cast<double>(*std::max_element(row.begin(), row.end())) * inverse;
  double sum = 0.0;
  for (const T x : row) sum += std::exp(static_cast<double>(x) * inverse - top);
  return top + std::log(sum);
}

// p (log p - log q), which is 0 where p is.
double part(double log_p, double log_q) {
  const double p = std::exp(log_p);
  return p > 0.0 ? p * (log_p - log_q) : 0.0;
}

template <class T>
double kl_of_row(KlDirection direction, std::span<T> student, std::span<const T> teacher,
                 double temperature, double scale) {
  require(student.size() == teacher.size() && !student.empty(), "two rows of one vocabulary");
  const double inverse = 1.0 / temperature;
  const double lse_p = log_sum_exp(std::span<const T>(student), inverse);
  const double lse_q = log_sum_exp(teacher, inverse);
  const auto log_p = [&](size_t v) { return static_cast<double>(student[v]) * inverse - lse_p; };
  const auto log_q = [&](size_t v) { return static_cast<double>(teacher[v]) * inverse - lse_q; };
  const bool forward = direction == KlDirection::forward;
  double kl = 0.0;
  for (size_t v = 0; v < student.size(); ++v)
    kl += forward ? part(log_q(v), log_p(v)) : part(log_p(v), log_q(v));
  for (size_t v = 0; v < student.size(); ++v) {
    const double p = std::exp(log_p(v));
    const double slope = forward   ? p - std::exp(log_q(v))
                         : p > 0.0 ? p * (log_p(v) - log_q(v) - kl)
                                   : 0.0;
    student[v] = static_cast<T>(scale * slope * inverse);
  }
  return kl;
}

}  // namespace

double kl_row(KlDirection direction, std::span<float> student, std::span<const float> teacher,
              double temperature, double scale) {
  return kl_of_row(direction, student, teacher, temperature, scale);
}

double kl_row(KlDirection direction, std::span<double> student, std::span<const double> teacher,
              double temperature, double scale) {
  return kl_of_row(direction, student, teacher, temperature, scale);
}

}  // namespace temper
