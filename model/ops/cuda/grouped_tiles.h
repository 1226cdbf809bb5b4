// The tiles of the experts' products on Hopper: their sizes, their order, and what a block's
// producer and consumers share.
#pragma once

#include "model/ops/cuda/hopper.h"

namespace temper::cuda::grouped {

// gated: forward, with a tile's columns half from the gate's and half from the same of the second
// half of the weights' rows.
enum class Kind { forward, gated, input_grad, weight_grad };
constexpr bool is_forward(Kind kind) {
  return kind == Kind::forward || kind == Kind::gated;
}
// Whether the rows of the left factor are brought together by an index (grouped_pick.h).
enum class Pick { none, left };
constexpr int kPickers = 128;  // threads

constexpr int kTileRows = 128, kTileCols = 256, kStep = kLine, kStages = 4, kMaxGroups = 512;
constexpr int kConsumers = 256, kThreads = kConsumers + 128, kConsumerWarps = kConsumers / 32;
constexpr int kABytes = kTileRows * kStep * 2, kBBytes = kTileCols * kStep * 2;
constexpr int kStageBytes = kABytes + kBBytes;
constexpr int kSharedBytes = kStages * kStageBytes + 1024;  // swizzled boxes are aligned so

constexpr bool is_rows(Kind kind) {
  return kind != Kind::weight_grad;
}
// Pairs of blocks need the same tiles in the same order; the weights' tiles are handed out one by
// one, since they can take very different times.
constexpr int pair_size(Kind kind) {
  return is_rows(kind) ? 2 : 1;
}

struct Picking {
  const uint16_t* from = nullptr;
  const int32_t* index = nullptr;
  unsigned stride = 0;     // from row to row of `from`, in units of 16 bytes
  int rows = 0, cols = 0;  // of the index, of `from`
};

struct Problem {
  void* c = nullptr;
  int64_t stride = 0;                // of C's rows
  int rows = 0, cols = 0;            // of an expert's dw; cols: of every C
  int inner = 0;                     // the inner dimension where it is not the group's rows
  const int32_t* offsets = nullptr;  // null: one group of `rows` rows
  int groups = 1;
  unsigned* counter = nullptr;  // of the tiles of dw that were handed out
  bool add = false;             // to what C holds
  float* squares = nullptr;     // gets kConsumerWarps sums of dw's squares for each of its tiles
  Picking pick = {};
};

// What the producer tells the consumers of a tile.
struct Tile {
  int group;     // -1: no more tiles
  int row, col;  // of C (of the expert's dw)
  int end;       // C's first row that is not the tile's group's
  int steps;     // of the inner dimension
  int begin;     // the group's first row
  int count;     // the group's rows
  bool apart;    // the pair's tiles lie beside each other, with right operands of their own
};

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

constexpr int kBand = 16;  // row tiles that are at work together, for the L2 cache

struct Shared {
  uint64_t full[kStages], empty[kStages];
  uint64_t told[2], heard[2];  // of `tiles`
  Tile tiles[2];
  int offsets[kMaxGroups + 1];
  int order[kMaxGroups];
};

// Fetches the offsets and orders the groups: for the weights' gradient by falling numbers of rows,
// so that the longest tiles go first.
template <Kind kKind>
__device__ void order_groups(Shared& shared, const Problem& p) {
  for (int e = threadIdx.x; e <= p.groups; e += kThreads)
    shared.offsets[e] = p.offsets != nullptr ? p.offsets[e] : e * p.rows;
  __syncthreads();
  for (int e = threadIdx.x; e < p.groups; e += kThreads) {
    int rank = e;
    if (!is_rows(kKind)) {
      const int rows = shared.offsets[e + 1] - shared.offsets[e];
      rank = 0;
      for (int i = 0; i < p.groups; ++i) {
        const int other = shared.offsets[i + 1] - shared.offsets[i];
        rank += other > rows || (other == rows && i < e);
      }
    }
    shared.order[rank] = e;
  }
  __syncthreads();
}

// Walks through the tiles of all groups, two at a time: a pair's lie above each other, but where a
// group's last rows leave the lower one empty, beside each other. Indices only grow.
template <Kind kKind>
class Schedule {
 public:
  __device__ Schedule(const Shared& shared, const Problem& p)
      : shared_(shared), p_(p), wide_((p.cols + kTileCols - 1) / kTileCols) {
    count();
  }

  __device__ Tile tile(int index, int rank) {
    while (position_ < p_.groups && index >= before_ + pairs_) {
      before_ += pairs_;
      ++position_;
      count();
    }
    if (position_ == p_.groups) return {-1, 0, 0, 0, 0, 0, 0, false};
    const int e = shared_.order[position_], begin = shared_.offsets[e];
    const int rows = shared_.offsets[e + 1] - begin, j = index - before_;
    const bool apart = j >= high_ * wide_;
    int row = high_ * kPairRows, col = ((j - high_ * wide_) * kPair + rank) * kTileCols;
    if (!apart) {
      const int band = j / (kHeight * wide_) * kHeight, within = j - band * wide_;
      const int height = min(kHeight, high_ - band);
      row = (band + within % height) * kPairRows + rank * kTileRows;
      col = within / height * kTileCols;
    }
    if (is_rows(kKind))
      return {e,     begin + row, col,  begin + rows, (p_.inner + kStep - 1) / kStep,
              begin, rows,        apart};
    // An expert without rows takes a step of zeros.
    return {e, row, col, p_.rows, max(rows + kStep - 1, kStep) / kStep, begin, rows, apart};
  }

 private:
  static constexpr int kPair = pair_size(kKind), kPairRows = kPair * kTileRows;
  static constexpr int kHeight = kBand / kPair;

  __device__ void count() {
    if (position_ == p_.groups) return;
    const int e = shared_.order[position_], rows = shared_.offsets[e + 1] - shared_.offsets[e];
    const int height = is_rows(kKind) ? rows : p_.rows;
    high_ = (height + kTileRows - 1) / kPairRows;
    pairs_ = high_ * wide_ + (height > high_ * kPairRows ? (wide_ + kPair - 1) / kPair : 0);
    // A fresh dw is written also where its expert has no rows.
    if (rows == 0 && (is_rows(kKind) || p_.add)) pairs_ = 0;
  }
  const Shared& shared_;
  const Problem& p_;
  int wide_, high_ = 0;  // tiles beside each other; pairs above each other
  int position_ = 0, before_ = 0, pairs_ = 0;
};

struct Pipeline {
  int stage = 0;
  unsigned parity = 0;
  __device__ void advance() {
    if (++stage == kStages) stage = 0, parity ^= 1;
  }
};

#endif

}  // namespace temper::cuda::grouped
