#include "model/ops/cpu/row_kl.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "model/ops/cpu/parallel.h"

namespace temper::cpu {
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
double kl_of_row(std::span<T> student, std::span<const T> teacher, const RowKlParams& params) {
  const double inverse = 1.0 / params.temperature;
  const double lse_p = log_sum_exp(std::span<const T>(student), inverse);
  const double lse_q = log_sum_exp(teacher, inverse);
  const auto log_p = [&](size_t v) { return static_cast<double>(student[v]) * inverse - lse_p; };
  const auto log_q = [&](size_t v) { return static_cast<double>(teacher[v]) * inverse - lse_q; };
  const bool forward = params.direction == KlDirection::forward;
  double kl = 0.0;
  for (size_t v = 0; v < student.size(); ++v)
    kl += forward ? part(log_q(v), log_p(v)) : part(log_p(v), log_q(v));
  for (size_t v = 0; v < student.size(); ++v) {
    const double p = std::exp(log_p(v));
    const double slope = forward   ? p - std::exp(log_q(v))
                         : p > 0.0 ? p * (log_p(v) - log_q(v) - kl)
                                   : 0.0;
    student[v] = static_cast<T>(params.scale * slope * inverse);
  }
  return kl;
}

}  // namespace

void row_kl(Context& ctx, Tensor kl, Tensor student, Tensor teacher, const RowKlParams& params) {
  const auto v = static_cast<size_t>(student.cols());
  dispatch_float(student.dtype, [&]<class T>() {
    parallel_rows(ctx, student.rows(), 100 * student.cols(), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        kl.get<double>()[r] = kl_of_row(std::span<T>(student.row<T>(r), v),
                                        std::span<const T>(teacher.row<T>(r), v), params);
    });
  });
}

}  // namespace temper::cpu
