// What makes kernels that start early (following.h) overlap: the two halves of follow(), for those
// that have much to do between them, and room beside each other.
#pragma once

#include "model/ops/cuda/kernel.h"

namespace temper::cuda {

// A multiprocessor divides its memory into cache and shared memory anew only when it is empty: two
// kernels are there together only if they want it divided alike. So all want the most to be shared.
template <class Kernel>
void share_multiprocessor(Kernel* kernel) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                             cudaSharedmemCarveoutMaxShared));
}

#ifdef __CUDACC__

// Lets the next kernel's blocks come.
__device__ inline void let_next_come() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;\n" ::: "memory");
#endif
}
// Waits until all kernels before are done and what they wrote is seen by this thread.
__device__ inline void wait_for_earlier() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;\n" ::: "memory");
#endif
}

#endif

}  // namespace temper::cuda
