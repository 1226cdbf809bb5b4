// The gate's function, as every kernel that has one computes it.
#pragma once

namespace temper::cuda {

#ifdef __CUDACC__

__device__ inline float sigmoid(float x) {
  return __fdividef(1.0F, 1.0F + __expf(-x));
}

#endif

}  // namespace temper::cuda
