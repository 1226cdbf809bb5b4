// Hopper's own instructions (sm_90a): barriers in shared memory that count bytes, the copy engine
// (TMA), and products of a warpgroup (wgmma) on operands in shared memory.
// Source: NVIDIA, PTX ISA 8.x, "mbarrier", "cp.async.bulk.tensor", "wgmma".
#pragma once

#include <cuda.h>  // types alone; the driver is not linked
#include "model/ops/cuda/kernel.h"

namespace temper::cuda {
// Operands in shared memory are lines of 64 numbers of 16 bits; 64 of them make a box.
constexpr int kLine = 64, kBoxBytes = kLine * kLine * 2;
}  // namespace temper::cuda

#if defined(__CUDACC__) && defined(__CUDA_ARCH_FEAT_SM90_ALL)

namespace temper::cuda {

__device__ inline unsigned shared_address(const void* p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}

// ---- Barriers: a phase ends when all arrivals and all announced bytes have come
__device__ inline void init_barrier(uint64_t* barrier, unsigned arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(shared_address(barrier)),
               "r"(arrivals)
               : "memory");
}
// Makes initialised barriers known to the copy engine and to the cluster.
__device__ inline void publish_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory");
}
__device__ inline void arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];\n" ::"r"(shared_address(barrier))
               : "memory");
}
// Arrives at the same barrier of another block of the cluster. Orders no ordinary memory accesses
// of the two (that would cost a fence of the whole GPU), only what wgmma has read.
__device__ inline void arrive_at(uint64_t* barrier, unsigned block) {
  asm volatile(
      "{\n.reg .b32 there;\n"
      "mapa.shared::cluster.u32 there, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [there];\n}\n" ::"r"(shared_address(barrier)),
      "r"(block)
      : "memory");
}
__device__ inline void arrive_expecting(uint64_t* barrier, unsigned bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
}
// Waits for the end of the phase of this parity; the phase before the first has parity 1.
__device__ inline void wait(uint64_t* barrier, unsigned parity) {
  asm volatile(
      "{\n.reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra.uni over;\n"
      "bra.uni again;\n"
      "over:\n}\n" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
}

// Shared memory from a multiple of 1024 on, as the swizzle wants.
__device__ inline unsigned char* aligned_memory(unsigned char* raw) {
  return raw + (1024 - shared_address(raw) % 1024) % 1024;
}

__device__ inline unsigned cluster_rank() {
  unsigned rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;\n" : "=r"(rank));
  return rank;
}
__device__ inline void synchronize_cluster() {
  asm volatile(
      "barrier.cluster.arrive.release.aligned;\n"
      "barrier.cluster.wait.acquire.aligned;\n" ::
          : "memory");
}

// ---- Copies of boxes of a tensor to shared memory
__device__ inline void load_box(void* to, const CUtensorMap& map, uint64_t* barrier, int x, int y) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4}], [%2];\n" ::"r"(shared_address(to)),
      "l"(&map), "r"(shared_address(barrier)), "r"(x), "r"(y)
      : "memory");
}
__device__ inline void load_box(void* to, const CUtensorMap& map, uint64_t* barrier, int x, int y,
                                int z) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4, %5}], [%2];\n" ::"r"(shared_address(to)),
      "l"(&map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z)
      : "memory");
}
// The same to every block of the cluster in `blocks`, at the same place, counted by the same
// barrier there.
__device__ inline void load_box_to(void* to, const CUtensorMap& map, uint64_t* barrier, int x,
                                   int y, int z, uint16_t blocks) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%3, %4, %5}], [%2], %6;\n" ::"r"(shared_address(to)),
      "l"(&map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z), "h"(blocks)
      : "memory");
}
// Waits until the boxes that this thread sent have been read from shared memory.
__device__ inline void wait_boxes_read() {
  asm volatile("cp.async.bulk.wait_group.read 0;\n" ::: "memory");
}
// Ordinary writes to shared memory before this are seen by wgmma and the copy engine after it.
__device__ inline void fence_shared_writes() {
  asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
}

// ---- wgmma. Lines of 64 numbers, 128 bytes swizzled, in groups of 8 lines; a line runs along the
// inner dimension or, for kAcross, along the result's, in boxes of 64 lines one after the other.
template <bool kAcross>
__device__ uint64_t operand(const void* at, int box_bytes = kBoxBytes) {
  const uint64_t layout = uint64_t{1} << 62 | uint64_t{1024 / 16} << 32 |
                          static_cast<uint64_t>(kAcross ? box_bytes / 16 : 1) << 16;
  return layout | (shared_address(at) & 0x3FFFFU) >> 4;
}
// From one 16 of the inner dimension to the next, in the units of `operand`.
template <bool kAcross>
constexpr uint64_t kNext16 = kAcross ? 16 * kLine * 2 / 16 : 16 * 2 / 16;

template <int kRegisters>
__device__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;\n" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;\n" ::"n"(kRegisters));
}
__device__ inline void begin_products() {
  asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
}
__device__ inline void end_products() {
  asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
}
template <int kPending>
__device__ void wait_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(kPending) : "memory");
}

}  // namespace temper::cuda

#endif
