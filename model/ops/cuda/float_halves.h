// core/float_halves.h on the GPU, for either type of the upper half.
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

__device__ inline float step_of_f16(f16 high) {
  const unsigned exponent = (__half_as_ushort(high) >> 10) & 0x1FU;
  return __uint_as_float((max(exponent, 1U) + 127U - 40U) << 23);
}
__device__ inline void split_float(float value, f16& high, uint16_t& low) {
  const float x =  // a zero is +0
      fabsf(value) < 0x1p-14F ? rintf(value * 0x1p39F) * 0x1p-39F + 0.0F : value;
  high = __float2half_rn(x);
  const bool finite = (__half_as_ushort(high) & 0x7C00U) != 0x7C00U;
  const float rest = (x - __half2float(high)) / step_of_f16(high);
  low = finite ? static_cast<uint16_t>(static_cast<int16_t>(rest)) : 0;
}
__device__ inline float join_float(f16 high, uint16_t low) {
  return __half2float(high) + static_cast<float>(static_cast<int16_t>(low)) * step_of_f16(high);
}

}  // namespace temper::cuda

#endif
