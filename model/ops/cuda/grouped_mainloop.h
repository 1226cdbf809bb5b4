// What a block of the tiled products on Hopper does: one thread keeps the copy engine busy, two
// warpgroups multiply, and an epilogue gets each tile's numbers while they are in registers.
//
// An epilogue is a struct with
//   prepare(tile)     called before the tile's last product is done: for what it reads from memory
//   finish(d, tile)   d: the thread's numbers (wgmma.h says which)
// of which every consumer thread has one.
#pragma once

#include "model/ops/cuda/grouped_produce.h"
#include "model/ops/cuda/grouped_tiles.h"
#include "model/ops/cuda/wgmma.h"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

namespace temper::cuda::grouped {

// Rows from `valid` of the step's boxes become zero: what they hold belongs to the next group.
__device__ inline void zero_rows(unsigned char* stage, int valid) {
  constexpr int kPacks = kLine * 2 / 16, kBoxes = kStageBytes / kBoxBytes;
  const int rows = kStep - valid;
  for (int i = threadIdx.x; i < kBoxes * rows * kPacks; i += kConsumers) {
    const int box = i / (rows * kPacks), pack = i % (rows * kPacks);
    *reinterpret_cast<uint4*>(stage + box * kBoxBytes + valid * kLine * 2 + pack * 16) =
        make_uint4(0, 0, 0, 0);
  }
  fence_shared_writes();
  asm volatile("bar.sync 1, %0;\n" ::"n"(kConsumers) : "memory");
}

// Multiplies tile after tile and hands each to the epilogue.
template <class T, Kind kKind, Pick kPick, class Epilogue>
__device__ void consume(Shared& shared, unsigned char* memory, Epilogue&& epilogue) {
  constexpr bool kAAcross = !is_rows(kKind), kBAcross = kKind != Kind::forward;
  constexpr int kPair = pair_size(kKind);
  const int group = threadIdx.x / 128, lane = threadIdx.x % 32;
  const auto free_stage = [&](int stage) {
    if (lane >= kPair) return;
    if constexpr (kPair > 1) arrive_at(&shared.empty[stage], lane);
    if constexpr (kPair == 1) arrive(&shared.empty[stage]);
  };
  float d[128];
  Pipeline pipe;
  for (int n = 0;; ++n) {
    const Tile t = hear_tile(shared, n);
    if (t.group < 0) return;
    int last = 0;
#pragma unroll 1
    for (int step = 0; step < t.steps; ++step, pipe.advance()) {
      unsigned char* at = memory + pipe.stage * kStageBytes;
      wait(&shared.full[pipe.stage], pipe.parity);
      if constexpr (kPick != Pick::none) fence_shared_writes();  // the pickers' are ordinary ones
      if (!is_rows(kKind) && (step + 1) * kStep > t.count) zero_rows(at, t.count - step * kStep);
      const uint64_t a = operand<kAAcross>(at + group * kBoxBytes);
      const uint64_t b = operand<kBAcross>(at + kABytes);
      begin_products();
#pragma unroll
      for (int i = 0; i < kStep / 16; ++i)
        multiply_64<T, kAAcross, kBAcross>(d, a + i * kNext16<kAAcross>, b + i * kNext16<kBAcross>,
                                           step + i > 0);
      end_products();
      if (step > 0) {
        wait_products<1>();
        free_stage(last);
      }
      last = pipe.stage;
    }
    epilogue.prepare(t);
    wait_products<0>();
    if (is_rows(kKind) || t.steps > 0) free_stage(last);
    if (!is_rows(kKind) && t.steps == 0)
#pragma unroll
      for (float& number : d) number = 0.0F;
    epilogue.finish(d, t);
  }
}

// The body of a kernel of kThreads threads with kSharedBytes of shared memory.
// make_epilogue(memory) is called by each consumer; `memory` has kBufferBytes for each of their
// warps.
template <class T, Kind kKind, Pick kPick = Pick::none, class MakeEpilogue>
__device__ void run_tiles(const Problem& p, const CUtensorMap& a, const CUtensorMap& b,
                          MakeEpilogue&& make_epilogue) {
  extern __shared__ unsigned char raw[];
  __shared__ Shared shared;
  unsigned char* memory = aligned_memory(raw);
  constexpr int kPair = pair_size(kKind), kPicking = kPick == Pick::none ? 0 : kPickers;
  if (threadIdx.x == 0) {
    for (int s = 0; s < kStages; ++s) {
      init_barrier(&shared.full[s], 1 + kPicking);
      init_barrier(&shared.empty[s], kConsumerWarps * kPair);
    }
    for (int s = 0; s < 2; ++s) {
      init_barrier(&shared.told[s], 1);
      init_barrier(&shared.heard[s], kConsumerWarps + kPicking / 32);
    }
    publish_barriers();
  }
  order_groups<kKind>(shared, p);
  if constexpr (kPair > 1) synchronize_cluster();
  if (threadIdx.x >= kConsumers) {
    give_registers<40>();
    const int thread = static_cast<int>(threadIdx.x) - kConsumers;
    if constexpr (kPick != Pick::none) {
      produce_picking<kKind, kPick>(shared, memory, p, a, b, thread);
    } else if (thread == 0) {
      produce<kKind>(shared, memory, p, a, b);
    }
  } else {
    take_registers<232>();
    auto epilogue = make_epilogue(memory + kStages * kStageBytes);
    consume<T, kKind, kPick>(shared, memory, epilogue);
  }
  // No block leaves while its partner may still write or arrive here.
  if constexpr (kPair > 1) {
    __syncwarp();
    synchronize_cluster();
  }
}

}  // namespace temper::cuda::grouped

#endif
