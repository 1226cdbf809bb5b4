// core/float_halves.h's split_float and join_float on the GPU.
#pragma once

#include "model/ops/cuda/kernel.h"

#ifdef __CUDACC__

namespace temper::cuda {

__device__ inline void split_float(float x, bf16& high, uint16_t& low) {
  const unsigned bits = __float_as_uint(x);
  const bool nan = x != x;
  high = __ushort_as_bfloat16(
      static_cast<uint16_t>(nan ? bits >> 16 | 0x40U : (bits + 0x8000U) >> 16));
  low = static_cast<uint16_t>(nan ? 0U : bits);
}
__device__ inline float join_float(bf16 high, uint16_t low) {
  const auto rest = static_cast<unsigned>(static_cast<int>(static_cast<int16_t>(low)));
  return __uint_as_float((static_cast<unsigned>(__bfloat16_as_ushort(high)) << 16) + rest);
}

}  // namespace temper::cuda

#endif
