// Dynamic loss scaling: the smallest f16 is 6e-8, and gradients of activations are often less. So
// the loss is multiplied by a power of two, and weights' gradients, which are f32, are divided by
// it again; too large a factor shows as a gradient that is not finite.
// Source: Micikevicius et al. 2018, "Mixed Precision Training", section 3.2.
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace temper {

inline constexpr double kFirstLossScale = 65536.0, kMostLossScale = 0x1p32;
inline constexpr int64_t kLossScaleGrowth = 500;  // updates in a row without an overflow

// A view of the three numbers that make the state, so that a checkpoint holds them as they are.
// Shapes: state [3] f64 on the host, or nothing where gradients are not scaled.
class LossScale {
 public:
  explicit LossScale(Tensor state) : state_(state) {}
  // What a new state begins with.
  void reset();

  bool used() const { return !state_.empty(); }
  double factor() const { return used() ? at(0) : 1.0; }
  // Updates that were left out since reset().
  int64_t skipped() const { return used() ? static_cast<int64_t>(at(2)) : 0; }

  // After an update: doubles the factor once kLossScaleGrowth were good in a row.
  void grow();
  // After an overflow: halves it. False, with nothing done, where it is 1 already.
  bool shrink();

 private:
  double& at(int i) const { return state_.get<double>()[i]; }  // factor, good in a row, skipped
  Tensor state_;
};

}  // namespace temper
