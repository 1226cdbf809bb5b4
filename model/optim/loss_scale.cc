#include "model/optim/loss_scale.h"

namespace temper {

void LossScale::reset() {
  if (!used()) return;
  at(0) = kFirstLossScale;
  at(1) = at(2) = 0.0;
}

void LossScale::grow() {
  if (!used()) return;
  at(1) += 1.0;
  if (at(1) < static_cast<double>(kLossScaleGrowth)) return;
  at(1) = 0.0;
  if (at(0) < kMostLossScale) at(0) *= 2.0;
}

bool LossScale::shrink() {
  if (factor() <= 1.0) return false;
  at(0) *= 0.5;
  at(1) = 0.0;
  at(2) += 1.0;
  return true;
}

}  // namespace temper
