#include "grpo/spread.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"

namespace temper {

double Spread::mean() const {
  double sum = 0.0;
  for (double x : values_) sum += x;
  return values_.empty() ? 0.0 : sum / count();
}

double Spread::std() const {
  const double m = mean();
  double squares = 0.0;
  for (double x : values_) squares += (x - m) * (x - m);
  return values_.empty() ? 0.0 : std::sqrt(squares / count());
}

double Spread::least() const {
  return values_.empty() ? 0.0 : *std::min_element(values_.begin(), values_.end());
}

double Spread::most() const {
  return values_.empty() ? 0.0 : *std::max_element(values_.begin(), values_.end());
}

double Spread::quantile(double q) const {
  if (values_.empty()) return 0.0;
  std::vector<double> sorted = values_;
  std::sort(sorted.begin(), sorted.end());
  const double place = q * (count() - 1.0);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

double correlation(const std::vector<double>& x, const std::vector<double>& y) {
  require(x.size() == y.size(), "pairs");
  const auto n = static_cast<double>(x.size());
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / n;
  const double mean_y = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xx = 0.0, yy = 0.0, xy = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double dx = x[i] - mean_x, dy = y[i] - mean_y;
    xx += dx * dx, yy += dy * dy, xy += dx * dy;
  }
  const double scale = std::sqrt(xx * yy);
  return scale > 0.0 ? xy / scale : 0.0;
}

}  // namespace temper
