// What a block of the tiled products on Hopper does: one thread keeps the copy engine busy, two
// warpgroups multiply, and an epilogue gets each tile's numbers while they are in registers.
//
// An epilogue is a struct with
//   prepare(tile)     called before the tile's last product is done: for what it reads from memory
//   finish(d, tile)   d: the thread's numbers (multiply_64_256 says which)
// of which every consumer thread has one.
#pragma once

#include "model/ops/cuda/grouped_tiles.h"
#include "model/ops/cuda/hopper.h"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

namespace temper::cuda::grouped {

template <Kind kKind>
__device__ void load_step(unsigned char* to, uint64_t* full, const CUtensorMap& a,
                          const CUtensorMap& b, const Tile& t, int step, unsigned rank) {
  const int inner = step * kStep;
  unsigned char* right = to + kABytes;
  arrive_expecting(full, kStageBytes);
  if constexpr (kKind == Kind::weight_grad) {
#pragma unroll
    for (int i = 0; i < kTileRows / kLine; ++i)
      load_box(to + i * kBoxBytes, a, full, t.row + i * kLine, t.begin + inner);
#pragma unroll
    for (int i = 0; i < kTileCols / kLine; ++i)
      load_box(right + i * kBoxBytes, b, full, t.col + i * kLine, t.begin + inner, 0);
  } else {
    load_box(to, a, full, inner, t.row);
    constexpr int kHalf = kTileCols / 2;
    if constexpr (kKind == Kind::forward) {
      load_box_to(right + rank * (kBBytes / 2), b, full, inner, t.col + rank * kHalf, t.group, 3);
    } else {
#pragma unroll
      for (int i = 0; i < kHalf / kLine; ++i) {
        const int box = rank * (kHalf / kLine) + i;
        load_box_to(right + box * kBoxBytes, b, full, t.col + box * kLine, inner, t.group, 3);
      }
    }
  }
}

template <Kind kKind>
__device__ void produce(Shared& shared, unsigned char* memory, const Problem& p,
                        const CUtensorMap& a, const CUtensorMap& b) {
  constexpr int kPair = pair_size(kKind);
  const unsigned rank = kPair > 1 ? cluster_rank() : 0;
  const int workers = gridDim.x / kPair;
  Schedule<kKind> schedule(shared, p);
  Pipeline pipe;
  int index = blockIdx.x / kPair;
  for (int n = 0;; ++n) {
    const Tile t = schedule.tile(index, rank);
    // The next index is on its way while this tile is loaded; the first ones are the blocks' own.
    index = kKind == Kind::weight_grad ? workers + static_cast<int>(atomicAdd(p.counter, 1U))
                                       : index + workers;
    wait(&shared.heard[n % 2], (n / 2 & 1) ^ 1);
    shared.tiles[n % 2] = t;
    arrive(&shared.told[n % 2]);
    if (t.group < 0) return;
#pragma unroll 1
    for (int step = 0; step < t.steps; ++step, pipe.advance()) {
      wait(&shared.empty[pipe.stage], pipe.parity ^ 1);
      load_step<kKind>(memory + pipe.stage * kStageBytes, &shared.full[pipe.stage], a, b, t, step,
                       rank);
    }
  }
}

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
template <Kind kKind, class Epilogue>
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
    wait(&shared.told[n % 2], n / 2 & 1);
    const Tile t = shared.tiles[n % 2];
    __syncwarp();
    if (lane == 0) arrive(&shared.heard[n % 2]);
    if (t.group < 0) return;
    int last = 0;
#pragma unroll 1
    for (int step = 0; step < t.steps; ++step, pipe.advance()) {
      unsigned char* at = memory + pipe.stage * kStageBytes;
      wait(&shared.full[pipe.stage], pipe.parity);
      if (!is_rows(kKind) && (step + 1) * kStep > t.count) zero_rows(at, t.count - step * kStep);
      const uint64_t a = operand<kAAcross>(at + group * kBoxBytes);
      const uint64_t b = operand<kBAcross>(at + kABytes);
      begin_products();
#pragma unroll
      for (int i = 0; i < kStep / 16; ++i)
        multiply_64_256<kAAcross, kBAcross>(d, a + i * kNext16<kAAcross>, b + i * kNext16<kBAcross>,
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
template <Kind kKind, class MakeEpilogue>
__device__ void run_tiles(const Problem& p, const CUtensorMap& a, const CUtensorMap& b,
                          MakeEpilogue&& make_epilogue) {
  extern __shared__ unsigned char raw[];
  __shared__ Shared shared;
  unsigned char* memory = aligned_memory(raw);
  constexpr int kPair = pair_size(kKind);
  if (threadIdx.x == 0) {
    for (int s = 0; s < kStages; ++s) {
      init_barrier(&shared.full[s], 1);
      init_barrier(&shared.empty[s], kConsumerWarps * kPair);
    }
    for (int s = 0; s < 2; ++s) {
      init_barrier(&shared.told[s], 1);
      init_barrier(&shared.heard[s], kConsumerWarps);
    }
    publish_barriers();
  }
  order_groups<kKind>(shared, p);
  if constexpr (kPair > 1) synchronize_cluster();
  if (threadIdx.x >= kConsumers) {
    give_registers<40>();
    if (threadIdx.x == kConsumers) produce<kKind>(shared, memory, p, a, b);
  } else {
    take_registers<232>();
    auto epilogue = make_epilogue(memory + kStages * kStageBytes);
    consume<kKind>(shared, memory, epilogue);
  }
  // No block leaves while its partner may still write or arrive here.
  if constexpr (kPair > 1) {
    __syncwarp();
    synchronize_cluster();
  }
}

}  // namespace temper::cuda::grouped

#endif
