// The 16-bit floats that tensor cores multiply: bf16 and f16, and pairs of them in a register.
#pragma once

#include <type_traits>

#include "model/ops/cuda/kernel.h"

namespace temper::cuda {

template <class T>
constexpr bool kIsNarrow = std::is_same_v<T, bf16> || std::is_same_v<T, f16>;

// The other way round than kIs.
template <class T>
constexpr DType kDTypeOf = std::is_same_v<T, float>  ? DType::f32
                           : std::is_same_v<T, bf16> ? DType::bf16
                                                     : DType::f16;

// Calls body.template operator()<bf16>() or <f16>().
template <class Body>
decltype(auto) dispatch_narrow(DType dtype, Body&& body) {
  if (dtype == DType::bf16) return body.template operator()<bf16>();
  require(dtype == DType::f16, "a CUDA kernel of 16-bit floats got another dtype");
  return body.template operator()<f16>();
}

#ifdef __CUDACC__

template <class T>
using PairOf = std::conditional_t<std::is_same_v<T, bf16>, __nv_bfloat162, __half2>;

// Each rounded to nearest even; the first one in the lower half.
template <class T>
__device__ PairOf<T> round_pair(float low, float high) {
  static_assert(kIsNarrow<T>);
  if constexpr (std::is_same_v<T, bf16>) {
    return __floats2bfloat162_rn(low, high);
  } else {
    return __floats2half2_rn(low, high);
  }
}
__device__ inline float2 widen_pair(__nv_bfloat162 pair) {
  return __bfloat1622float2(pair);
}
__device__ inline float2 widen_pair(__half2 pair) {
  return __half22float2(pair);
}

// The same as the bits of a register.
template <class T>
__device__ unsigned pack_pair(float low, float high) {
  const PairOf<T> pair = round_pair<T>(low, high);
  return *reinterpret_cast<const unsigned*>(&pair);
}
template <class T>
__device__ float2 unpack(unsigned pair) {
  return widen_pair(*reinterpret_cast<const PairOf<T>*>(&pair));
}

#endif

}  // namespace temper::cuda
