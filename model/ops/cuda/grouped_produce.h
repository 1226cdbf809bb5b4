// How operands get to a block of the tiled products on Hopper, and which tiles it takes.
#pragma once

#include <type_traits>

#include "model/ops/cuda/grouped_pick.h"
#include "model/ops/cuda/grouped_tiles.h"
#include "model/ops/cuda/warp_arrival.h"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

namespace temper::cuda::grouped {

// Boxes of both operands. Blocks of a pair load half of the right one each, for both, but where
// their tiles are apart.
template <Kind kKind, Pick kPick>
__device__ void load_step(unsigned char* to, uint64_t* full, const Problem& p, const CUtensorMap& a,
                          const CUtensorMap& b, const Tile& t, int step, unsigned rank) {
  constexpr bool kLeft = kPick != Pick::left;
  const int inner = step * kStep;
  unsigned char* right = to + kABytes;
  arrive_expecting(full, (kLeft ? kABytes : 0) + kBBytes);
  if constexpr (kKind == Kind::weight_grad) {
#pragma unroll
    for (int i = 0; kLeft && i < kTileRows / kLine; ++i)
      load_box(to + i * kBoxBytes, a, full, t.row + i * kLine, t.begin + inner);
#pragma unroll
    for (int i = 0; i < kTileCols / kLine; ++i)
      load_box(right + i * kBoxBytes, b, full, t.col + i * kLine, t.begin + inner, 0);
  } else {
    if constexpr (kLeft) load_box(to, a, full, inner, t.row);
    const auto blocks = static_cast<uint16_t>(t.apart ? 1U << rank : 3U);
    constexpr int kBoxes = is_forward(kKind) ? 2 : kTileCols / kLine;  // of the right operand
#pragma unroll
    for (int i = 0; i < kBoxes; ++i) {
      if (!t.apart && i / (kBoxes / 2) != static_cast<int>(rank)) continue;
      unsigned char* at = right + i * (kBBytes / kBoxes);
      const int col =
          kKind == Kind::gated ? t.col / 2 + i * (p.cols / 2) : t.col + i * (kTileCols / kBoxes);
      if constexpr (is_forward(kKind)) load_box_to(at, b, full, inner, col, t.group, blocks);
      if constexpr (!is_forward(kKind)) load_box_to(at, b, full, col, inner, t.group, blocks);
    }
  }
}

// A warp gets the n-th tile.
__device__ inline Tile hear_tile(Shared& shared, int n) {
  wait(&shared.told[n % 2], n / 2 & 1);
  const Tile t = shared.tiles[n % 2];
  arrive_as_warp(&shared.heard[n % 2]);
  return t;
}

// Hands out the tiles of a block, one after another.
template <Kind kKind>
struct Dealer {
  static constexpr int kPair = pair_size(kKind);
  Shared& shared;
  const Problem& p;
  unsigned rank = kPair > 1 ? cluster_rank() : 0;
  Schedule<kKind> schedule{shared, p};
  int workers = static_cast<int>(gridDim.x) / kPair;
  int index = static_cast<int>(blockIdx.x) / kPair;

  __device__ Tile deal(int n) {
    const Tile t = schedule.tile(index, static_cast<int>(rank));
    // The next index is on its way while this tile is loaded; the first ones are the blocks' own.
    index = is_rows(kKind) ? index + workers : workers + static_cast<int>(atomicAdd(p.counter, 1U));
    wait(&shared.heard[n % 2], (n / 2 & 1) ^ 1);
    shared.tiles[n % 2] = t;
    arrive(&shared.told[n % 2]);
    return t;
  }
};

// What one thread does where the copy engine brings both operands.
template <Kind kKind>
__device__ void produce(Shared& shared, unsigned char* memory, const Problem& p,
                        const CUtensorMap& a, const CUtensorMap& b) {
  Dealer<kKind> dealer{shared, p};
  Pipeline pipe;
  for (int n = 0;; ++n) {
    const Tile t = dealer.deal(n);
    if (t.group < 0) return;
#pragma unroll 1
    for (int step = 0; step < t.steps; ++step, pipe.advance()) {
      wait(&shared.empty[pipe.stage], pipe.parity ^ 1);
      load_step<kKind, Pick::none>(memory + pipe.stage * kStageBytes, &shared.full[pipe.stage], p,
                                   a, b, t, step, dealer.rank);
    }
  }
}

// What kPickers threads do where they bring one of them themselves. `thread` counts from 0.
template <Kind kKind, Pick kPick>
__device__ void produce_picking(Shared& shared, unsigned char* memory, const Problem& p,
                                const CUtensorMap& a, const CUtensorMap& b, int thread) {
  Dealer<kKind> dealer{shared, p};
  const Picker own(p.pick, thread);
  Pipeline pipe;
  for (int n = 0;; ++n) {
    if (thread == 0) dealer.deal(n);
    __syncwarp();
    const Tile t = hear_tile(shared, n);
    if (t.group < 0) return;
    std::conditional_t<is_rows(kKind), TileRows, InnerRows> rows(own, t);
#pragma unroll 1
    for (int step = 0; step < t.steps; ++step, pipe.advance()) {
      unsigned char* stage = memory + pipe.stage * kStageBytes;
      uint64_t* full = &shared.full[pipe.stage];
      wait(&shared.empty[pipe.stage], pipe.parity ^ 1);
      if (thread == 0) load_step<kKind, kPick>(stage, full, p, a, b, t, step, dealer.rank);
      rows.step(stage, p.pick, own, t, step);
      arrive_after_copies(full);
    }
  }
}

}  // namespace temper::cuda::grouped

#endif
