// The sum of a block's doubles, in a fixed order.
#pragma once

#include "model/ops/cuda/kernel.h"

#ifdef __CUDACC__

namespace temper::cuda {

// Of a block of at most 1024 threads, a multiple of 32; every thread gets it.
__device__ inline double block_sum_double(double x) {
  __shared__ double parts[32];
  for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffU, x, offset);
  __syncthreads();
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
  __syncthreads();
  x = 0.0;
  for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) x += parts[warp];
  return x;
}

}  // namespace temper::cuda

#endif
