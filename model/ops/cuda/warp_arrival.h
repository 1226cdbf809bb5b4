// One arrival at a barrier for the lanes of a warp.
#pragma once

#include "model/ops/cuda/hopper.h"

#if defined(__CUDACC__) && defined(__CUDA_ARCH_FEAT_SM90_ALL)

namespace temper::cuda {

// All lanes of the warp come here; what they did to shared memory is before the arrival, which
// orders of itself only what its own thread did.
__device__ inline void arrive_as_warp(uint64_t* barrier) {
  __syncwarp();
  if (threadIdx.x % 32 == 0) arrive(barrier);
}

}  // namespace temper::cuda

#endif
