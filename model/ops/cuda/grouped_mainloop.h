// What a block of the tiled products on Hopper does: one thread keeps the copy engine busy, two
// warpgroups multiply, and an epilogue gets each tile's numbers while they are in registers.
//
// An epilogue is a struct with
//   prepare(tile)     called before the tile's last product is done: for what it reads from memory
//   finish(d, tile)   d: the thread's numbers (wgmma.h says which)
//   kParts, part(i)   what it does then of a finished tile while the next one's products run
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

// A warpgroup's products, step by step through the stages.
template <class T, Kind kKind, Pick kPick>
class Multiplier {
 public:
  float d[128];  // the tile's numbers so far

  __device__ Multiplier(Shared& shared, unsigned char* memory) : shared_(shared), memory_(memory) {}

  // Begins the products of a step; kLast: it may be the tile's last, which may be short of rows.
  template <bool kLast>
  __device__ void begin(const Tile& t, int step) {
    constexpr bool kAAcross = !is_rows(kKind), kBAcross = !is_forward(kKind);
    unsigned char* at = memory_ + pipe_.stage * kStageBytes;
    wait(&shared_.full[pipe_.stage], pipe_.parity);
    if constexpr (kPick != Pick::none) fence_shared_writes();  // the pickers' are ordinary ones
    if (!is_rows(kKind) && kLast && (step + 1) * kStep > t.count)
      zero_rows(at, t.count - step * kStep);
    const uint64_t a = operand<kAAcross>(at + group_ * kBoxBytes);
    const uint64_t b = operand<kBAcross>(at + kABytes);
    begin_products();
#pragma unroll
    for (int i = 0; i < kStep / 16; ++i)
      multiply_64<T, kAAcross, kBAcross>(d, a + i * kNext16<kAAcross>, b + i * kNext16<kBAcross>,
                                         step + i > 0);
    end_products();
  }
  // Then: the step before is done.
  __device__ void advance(int step) {
    if (step > 0) {
      wait_products<1>();
      free_stage();
    }
    last_ = pipe_.stage;
    pipe_.advance();
  }
  __device__ void finish() {
    wait_products<0>();
    free_stage();
  }

 private:
  __device__ void free_stage() {
    constexpr int kPair = pair_size(kKind);
    const int lane = threadIdx.x % 32;
    if (lane >= kPair) return;
    if constexpr (kPair > 1) arrive_at(&shared_.empty[last_], lane);
    if constexpr (kPair == 1) arrive(&shared_.empty[last_]);
  }
  Shared& shared_;
  unsigned char* memory_;
  Pipeline pipe_;
  int group_ = static_cast<int>(threadIdx.x) / 128, last_ = 0;
};

// Multiplies tile after tile and hands each to the epilogue.
template <class T, Kind kKind, Pick kPick, class Epilogue>
__device__ void consume(Shared& shared, unsigned char* memory, Epilogue&& epilogue) {
  constexpr int kParts = std::remove_reference_t<Epilogue>::kParts;
  // Parts come with products that are not the last of a tile of dw.
  constexpr int kEnough = is_rows(kKind) ? kParts : kParts + 1;
  Multiplier<T, kKind, kPick> products(shared, memory);
  for (int n = 0;; ++n) {
    const Tile t = hear_tile(shared, n);
    int step = 0;
    if (kParts > 0 && t.group >= 0 && t.steps >= kEnough) {
#pragma unroll
      for (; step < kParts; ++step) {
        products.template begin<false>(t, step);
        epilogue.part(step);
        products.advance(step);
      }
    } else {
#pragma unroll
      for (int part = 0; part < kParts; ++part) epilogue.part(part);
      if (t.group < 0) return;
    }
#pragma unroll 1
    for (; step < t.steps; ++step) {
      products.template begin<true>(t, step);
      products.advance(step);
    }
    epilogue.prepare(t);
    products.finish();
    epilogue.finish(products.d, t);
  }
}

// The body of a kernel of kThreads threads with kSharedBytes of shared memory.
// make_epilogue() is called by each consumer.
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
    auto epilogue = make_epilogue();
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
