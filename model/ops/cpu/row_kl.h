// Distances between distributions on the CPU. Contract: model/ops/row_kl.h, which has checked the
// arguments.
#pragma once

#include "model/ops/row_kl.h"

namespace temper::cpu {

void row_kl(Context& ctx, Tensor kl, Tensor student, Tensor teacher, const RowKlParams& params);

}  // namespace temper::cpu
