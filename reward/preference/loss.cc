#include "reward/preference/loss.h"

#include <algorithm>
#include <cmath>

namespace temper {

double sigmoid(double x) {
  const double e = std::exp(-std::abs(x));
  return x >= 0.0 ? 1.0 / (1.0 + e) : e / (1.0 + e);
}

ScalarLoss pairwise_loss(double margin) {
  // log(1 + e^-m), with the larger exponent taken out.
  const double loss = std::max(-margin, 0.0) + std::log1p(std::exp(-std::abs(margin)));
  return {loss, -sigmoid(-margin)};
}

ScalarLoss binary_loss(double score, bool good) {
  const ScalarLoss as_margin = pairwise_loss(good ? score : -score);
  return {as_margin.loss, good ? as_margin.gradient : -as_margin.gradient};
}

}  // namespace temper
