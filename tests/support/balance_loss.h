// The sequence balance loss of host scores as a number.
#pragma once

#include "model/ops/router.h"

namespace temper::test {

inline double balance_loss(Context& ctx, const Tensor& scores, const Sequences& sequences,
                           const RouterParams& params) {
  const OwnedTensor sum = allocate(DType::f64, {1});
  router_backward(ctx, {}, {}, {.experts = {}, .weights = {}, .scores = scores}, params,
                  {.sum = sum.view, .sequences = sequences});
  return sum.view.get<double>()[0];
}

}  // namespace temper::test
