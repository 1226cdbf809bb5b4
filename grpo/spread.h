// Mean, spread and quantiles of a step's numbers.
#pragma once

#include <vector>

namespace temper {

// Numbers gathered one by one; every statistic of none is 0.
class Spread {
 public:
  void add(double x) { values_.push_back(x); }
  double count() const { return static_cast<double>(values_.size()); }
  double mean() const;
  double std() const;  // over n
  double least() const;
  double most() const;
  // The value that a share `q` of them does not exceed, between neighbours by rank.
  double quantile(double q) const;

 private:
  std::vector<double> values_;
};

// Pearson's, of pairs; 0 where one side does not vary. Shapes: x and y of one length.
double correlation(const std::vector<double>& x, const std::vector<double>& y);

}  // namespace temper
