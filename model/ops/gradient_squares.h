// Sums of the squares of gradients that the ops leave which write them, so that their norm need not
// read them again.
#pragma once

#include <cstdint>
#include <vector>

#include "core/arena.h"
#include "core/context.h"
#include "core/tensor.h"

namespace temper {

class GradientSquares {
 public:
  // Nothing is known any more: to be called before gradients change.
  void forget();
  // Room for `count` numbers whose sum is that of the squares of all of `gradient`, for the op that
  // writes it. Shapes: [count] f32.
  Tensor leave(const Tensor& gradient, int64_t count);

  struct Known {
    Tensor gradient, sums;
  };
  const std::vector<Known>& known() const { return known_; }

 private:
  Arena arena_{Device::cuda};  // a CPU's ops leave none
  std::vector<Known> known_;
};

// Sum of squares in f64, in an order that does not depend on the number of threads, of a flat
// tensor in which the known gradients lie; those are not read. Types: flat f32 or f64; f32 where
// something is known.
double sum_of_squares(Context& ctx, const Tensor& flat, const GradientSquares& squares);

}  // namespace temper
