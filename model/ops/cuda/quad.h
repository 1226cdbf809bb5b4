// Pairs of 16-bit floats among four neighbouring threads, which share the rows of tensor-core
// results.
#pragma once

#include "model/ops/cuda/mma.h"

#ifdef __CUDACC__

namespace temper::cuda {

// Each thread of four neighbours holds four numbers; afterwards thread i has the i-th of each.
__device__ inline void transpose_four(unsigned (&p)[4]) {
  const bool odd = threadIdx.x & 1, high = threadIdx.x & 2;
#pragma unroll
  for (int i = 0; i < 4; i += 2) {
    const unsigned got = __shfl_xor_sync(0xffffffffU, odd ? p[i] : p[i + 1], 1);
    if (odd) {
      p[i] = got;
    } else {
      p[i + 1] = got;
    }
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const unsigned got = __shfl_xor_sync(0xffffffffU, high ? p[i] : p[i + 2], 2);
    if (high) {
      p[i] = got;
    } else {
      p[i + 2] = got;
    }
  }
}

}  // namespace temper::cuda

#endif
