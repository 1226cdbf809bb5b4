// For a file whose kernels take one kind of 16-bit floats: the build compiles it once for each
// (CMakeLists.txt), and `Narrow` is the one that it is compiled for. Its public functions are
// specialisations of templates for that type.
#pragma once

#include "model/ops/cuda/narrow.h"

#ifndef TEMPER_NARROW
#define TEMPER_NARROW bf16
#endif

namespace temper::cuda {

using Narrow = TEMPER_NARROW;
constexpr DType kNarrow = kDTypeOf<Narrow>;

}  // namespace temper::cuda
