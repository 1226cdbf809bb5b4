// Which tile of attention a block of Hopper's takes next.
#pragma once

#include <algorithm>
#include <climits>

#include "model/ops/cuda/attention_kernels.h"

namespace temper::cuda::attention_hopper {

constexpr int kTileRows = 128;

// The tiles of a launch, for `heads` heads from `first_head` on and the rows from .. upto of every
// sequence; `together` heads of a sequence are gone through side by side, so that what their tiles
// share stays in the L2 cache.
struct TileOrder {
  int heads = 0, together = 0;
  unsigned* taken = nullptr;  // counts tiles taken beyond the first of each block (counters.h)
  int first_head = 0, from = 0, upto = INT_MAX;
  int tiles = 0;           // in all
  bool backwards = false;  // they are taken from the last one on
};
// `shared_bytes`: a token's numbers that all tiles of a head read.
inline TileOrder order_of(const Sequences& sequences, int64_t heads, int64_t shared_bytes,
                          unsigned* taken) {
  constexpr int64_t kCache = int64_t{16} << 20;
  const int64_t head = std::max<int64_t>(1, sequences.longest() * shared_bytes);
  TileOrder order;
  order.heads = static_cast<int>(heads), order.taken = taken;
  order.together = static_cast<int>(std::clamp<int64_t>(kCache / head, 1, heads));
  return order;
}

// How many tiles of `rows` rows an order has.
inline int count_tiles(const TileOrder& order, const Sequences& sequences, int rows) {
  const auto& cu = sequences.cu_seqlens;
  int tiles = 0;
  for (size_t s = 0; s + 1 < cu.size(); ++s)
    tiles += (std::max(0, std::min(cu[s + 1] - cu[s], order.upto) - order.from) + rows - 1) / rows;
  return tiles * order.heads;
}

}  // namespace temper::cuda::attention_hopper

#ifdef __CUDACC__

namespace temper::cuda::attention_hopper {

struct TileAt {
  int first, length;    // the sequence's tokens are first .. first + length
  int first_key, past;  // its keys begin at first_key, `past` of them before the first token's own
  int begin;            // the tile's first row among them
  int head;             // negative: there is no tile left
};

// Goes through this block's tiles: sequence after sequence, and of some heads of one the tiles with
// most work first (backwards: with least). A block takes the next tile that nobody has; the numbers
// do not depend on who takes which. Every lane of the warp calls next() alike.
template <bool kFromEnd, int kRows = kTileRows>
class Tiles {
 public:
  __device__ Tiles(const SequenceTable& sequences, const TileOrder& order)
      : sequences_(sequences), order_(order), index_(blockIdx.x) {}
  __device__ TileAt next() {
    const int lane = threadIdx.x % 32;
    int index = __shfl_sync(0xffffffffU, index_, 0);
    // The next one is on its way while this tile is gone through. Every block asks once in vain;
    // the last one to ask leaves the counter at 0.
    if (lane == 0)
      index_ = static_cast<int>(gridDim.x + atomicInc(order_.taken, order_.tiles + gridDim.x - 1));
    if (order_.backwards) {
      base_ = before_ = 0;
      index = order_.tiles - 1 - index;
      if (index < 0) return {0, 0, 0, 0, 0, -1};
    }
    for (; base_ < sequences_.count; base_ += 32) {
      const int s = base_ + lane;
      const bool there = s < sequences_.count;
      const int first = there ? sequences_.cu_seqlens[s] : 0;
      const int length = there ? sequences_.cu_seqlens[s + 1] - first : 0;
      const int first_key = there ? sequences_.keys[s] : 0;
      const int past = there ? sequences_.keys[s + 1] - first_key - length : 0;
      const int tiles = (max(0, min(length, order_.upto) - order_.from) + kRows - 1) / kRows;
      int upto = tiles * order_.heads;  // of this lane's sequence and those before it
      for (int offset = 1; offset < 32; offset *= 2) {
        const int below = __shfl_up_sync(0xffffffffU, upto, offset);
        if (lane >= offset) upto += below;
      }
      const unsigned after = __ballot_sync(0xffffffffU, index - before_ < upto);
      if (after == 0) {
        before_ += __shfl_sync(0xffffffffU, upto, 31);
        continue;
      }
      const int owner = __ffs(static_cast<int>(after)) - 1;
      const auto of_owner = [owner](int x) { return __shfl_sync(0xffffffffU, x, owner); };
      const int which = index - before_ - of_owner(upto - tiles * order_.heads);
      TileAt t = tile(of_owner(first), of_owner(length), of_owner(tiles), which);
      t.first_key = of_owner(first_key), t.past = of_owner(past);
      return t;
    }
    return {0, 0, 0, 0, 0, -1};
  }

 private:
  __device__ TileAt tile(int first, int length, int tiles, int which) const {
    const int begin = which / (tiles * order_.together) * order_.together;
    const int heads = min(order_.together, order_.heads - begin);
    const int at = which - begin * tiles;
    const int rank = at / heads;  // by falling work
    return {first,
            length,
            0,
            0,
            order_.from + (kFromEnd ? tiles - 1 - rank : rank) * kRows,
            order_.first_head + begin + at % heads};
  }

  SequenceTable sequences_;
  TileOrder order_;
  int index_;                  // lane 0: what comes next
  int base_ = 0, before_ = 0;  // a sequence, and the tiles of those before it
};

}  // namespace temper::cuda::attention_hopper

#endif
