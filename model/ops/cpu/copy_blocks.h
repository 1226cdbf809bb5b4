// Copies of cache blocks on the CPU. Contracts: model/ops/copy_blocks.h, which has checked the
// arguments.
#pragma once

#include "model/ops/copy_blocks.h"

namespace temper::cpu {

void copy_blocks(Tensor pool, Tensor pairs);

}  // namespace temper::cpu
