// What the CUDA kernels share: views, narrow numbers, reductions of a fixed order, launches.
// Narrow inputs are widened to float, everything is computed in float, and results are rounded
// once, to nearest even.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "core/cuda/runtime.h"
#include "core/error.h"
#include "core/tensor.h"

namespace temper::cuda {

using bf16 = __nv_bfloat16;
using f16 = __half;

// Rows of a tensor as a kernel sees them: element j of row i is data[i * stride + j].
template <class T>
struct Rows {
  T* data = nullptr;
  int64_t rows = 0, cols = 0, stride = 0;

  __device__ T* row(int64_t i) const { return data + i * stride; }
  __host__ __device__ explicit operator bool() const { return data != nullptr; }
};

template <class T>
constexpr bool kIs(DType dtype);
template <>
constexpr bool kIs<float>(DType dtype) {
  return dtype == DType::f32;
}
template <>
constexpr bool kIs<bf16>(DType dtype) {
  return dtype == DType::bf16;
}
template <>
constexpr bool kIs<f16>(DType dtype) {
  return dtype == DType::f16;
}
template <>
constexpr bool kIs<int32_t>(DType dtype) {
  return dtype == DType::i32;
}
template <>
constexpr bool kIs<double>(DType dtype) {
  return dtype == DType::f64;
}

// A null view stays null. Throws ContractError if the tensor is not of T or not on the GPU.
template <class T>
Rows<T> rows_of(const Tensor& t) {
  if (t.data == nullptr) return {};
  require(kIs<T>(t.dtype), "a CUDA kernel got a tensor of another dtype");
  require(t.device == Device::cuda, "a CUDA kernel got host memory");
  return {static_cast<T*>(t.data), t.rows(), t.cols(), t.row_stride};
}
template <class T>
T* data_of(const Tensor& t) {
  return rows_of<T>(t).data;
}

// Calls body.template operator()<float>(), <bf16>() or <f16>(): the GPU's kinds of activations.
template <class Body>
decltype(auto) dispatch(DType dtype, Body&& body) {
  if (dtype == DType::f32) return body.template operator()<float>();
  if (dtype == DType::bf16) return body.template operator()<bf16>();
  require(dtype == DType::f16, "the CUDA backend computes in f32, bf16 or f16");
  return body.template operator()<f16>();
}

// Calls body.template operator()<Narrow, Wide>() for a narrow tensor beside one of the same dtype
// or of the wider one that the residual stream has.
template <class Body>
decltype(auto) dispatch_widening(DType narrow, DType wide, Body&& body) {
  if (narrow == DType::bf16 && wide == DType::f32) return body.template operator()<bf16, float>();
  if (narrow == DType::f16 && wide == DType::f32) return body.template operator()<f16, float>();
  require(narrow == wide, "a CUDA op got a narrow residual stream beside wide activations");
  dispatch(narrow, [&]<class T>() { body.template operator()<T, T>(); });
}

inline void check_launch(std::source_location where = std::source_location::current()) {
  check(cudaGetLastError(), where);
}

inline unsigned blocks_for(int64_t items, int64_t per_block) {
  return static_cast<unsigned>((items + per_block - 1) / per_block);
}

#ifdef __CUDACC__

__device__ inline float to_float(float x) {
  return x;
}
__device__ inline float to_float(bf16 x) {
  return __bfloat162float(x);
}
__device__ inline float to_float(f16 x) {
  return __half2float(x);
}
template <class T>
__device__ T from_float(float x);
template <>
__device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__device__ inline bf16 from_float<bf16>(float x) {
  return __float2bfloat16_rn(x);
}
template <>
__device__ inline f16 from_float<f16>(float x) {
  return __float2half_rn(x);
}

// Sum or maximum over the 32 threads of a warp, in a fixed order; every thread gets it.
__device__ inline float warp_sum(float x) {
  for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffU, x, offset);
  return x;
}
__device__ inline float warp_max(float x) {
  for (int offset = 16; offset > 0; offset /= 2)
    x = fmaxf(x, __shfl_xor_sync(0xffffffffU, x, offset));
  return x;
}
// The same over a block of at most 1024 threads, a multiple of 32.
__device__ inline float block_sum(float x) {
  __shared__ float parts[32];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
  x = warp_sum(x);
  __syncthreads();
  if (lane == 0) parts[warp] = x;
  __syncthreads();
  x = lane < warps ? parts[lane] : 0.0F;
  return warp_sum(x);
}
__device__ inline float block_max(float x) {
  __shared__ float parts[32];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
  x = warp_max(x);
  __syncthreads();
  if (lane == 0) parts[warp] = x;
  __syncthreads();
  x = lane < warps ? parts[lane] : -INFINITY;
  return warp_max(x);
}

#endif

}  // namespace temper::cuda
