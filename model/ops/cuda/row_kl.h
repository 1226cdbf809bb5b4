// Distances between distributions on the GPU. Contract: model/ops/row_kl.h, which has checked the
// arguments.
#pragma once

#include "model/ops/row_kl.h"

namespace temper::cuda {

void row_kl(Context& ctx, Tensor kl, Tensor student, Tensor teacher, const RowKlParams& params);

}  // namespace temper::cuda
