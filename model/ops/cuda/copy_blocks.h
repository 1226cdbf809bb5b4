// Copies of cache blocks on the GPU. Contracts: model/ops/copy_blocks.h, which has checked the
// arguments.
#pragma once

#include "model/ops/copy_blocks.h"

namespace temper::cuda {

void copy_blocks(Context& ctx, Tensor pool, Tensor pairs);

}  // namespace temper::cuda
