// What Hopper's copy engine does beside loading boxes: contiguous bytes between shared and device
// memory (addresses and sizes are multiples of 16), and boxes brought to the L2 cache.
// Source: NVIDIA, PTX ISA 8.x, "cp.async.bulk".
#pragma once

#include "model/ops/cuda/hopper.h"

#if defined(__CUDACC__) && defined(__CUDA_ARCH_FEAT_SM90_ALL)

namespace temper::cuda {

__device__ inline void load_bytes(void* to, const void* from, unsigned bytes, uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];\n" ::
          "r"(shared_address(to)),
      "l"(__cvta_generic_to_global(from)), "r"(bytes), "r"(shared_address(barrier))
      : "memory");
}
// Stores later; wait_boxes_read says when the shared memory may be written again.
__device__ inline void store_bytes(void* to, const void* from, unsigned bytes) {
  asm volatile(
      "cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;\n"
      "cp.async.bulk.commit_group;\n" ::"l"(__cvta_generic_to_global(to)),
      "r"(shared_address(from)), "r"(bytes)
      : "memory");
}
// Begins to fetch a map that the copy engine will follow.
__device__ inline void prefetch_map(const CUtensorMap& map) {
  asm volatile("prefetch.tensormap [%0];\n" ::"l"(&map) : "memory");
}
// Begins to bring a box of a tensor to the L2 cache.
__device__ inline void prefetch_box(const CUtensorMap& map, int x, int y, int z) {
  asm volatile("cp.async.bulk.prefetch.tensor.3d.L2.global [%0, {%1, %2, %3}];\n" ::"l"(&map),
               "r"(x), "r"(y), "r"(z)
               : "memory");
}
// Announces bytes to a barrier, at which this thread arrives later.
__device__ inline void expect_bytes(uint64_t* barrier, unsigned bytes) {
  asm volatile(
      "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;\n" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
}

}  // namespace temper::cuda

#endif
