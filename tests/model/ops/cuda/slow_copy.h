// A kernel that lets the next one begin and takes its time: what follows must wait for it.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper::test {

// to = from, both on the GPU, contiguous and of one type and size; half a millisecond after the
// kernel behind it may start (model/ops/cuda/following.h).
void slow_copy(Context& ctx, Tensor to, Tensor from);

}  // namespace temper::test
