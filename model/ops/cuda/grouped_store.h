// How a tile's numbers leave the registers, written or added, as 16-bit floats or f32.
#pragma once

#include <type_traits>

#include "model/ops/cuda/grouped_tiles.h"
#include "model/ops/cuda/narrow.h"
#include "model/ops/cuda/quad.h"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

namespace temper::cuda::grouped {

// What a thread takes to C: 16 bytes of rows `row` and `row` + 8 in each 32 columns.
template <class T>
struct Place {
  T* at = nullptr;
  int64_t stride = 0;
  int rows = 0, cols = 0;  // that there are from here

  Place() = default;
  __device__ Place(const Problem& p, const Tile& t) {
    const int lane = threadIdx.x % 32;
    const int row =
        t.row + static_cast<int>(threadIdx.x) / 128 * 64 + threadIdx.x % 128 / 32 * 16 + lane / 4;
    const int col = t.col + lane % 4 * 8;
    at = static_cast<T*>(p.c) + row * p.stride + col;
    stride = p.stride, rows = t.end - row, cols = p.cols - col;
  }
  __device__ bool valid(int block, int half) const { return half * 8 < rows && block * 32 < cols; }
  __device__ T* to(int block, int half) const { return at + half * 8 * stride + block * 32; }
  // Writes what four neighbours hold of 32 columns of a row: pairs of columns 8 i + 2 (lane % 4).
  __device__ void put(int block, int half, unsigned (&p)[4]) const {
    transpose_four(p);
    if (valid(block, half))
      *reinterpret_cast<uint4*>(to(block, half)) = make_uint4(p[0], p[1], p[2], p[3]);
  }
};
constexpr int kBlocks = kTileCols / 32, kEarly = 4;  // kEarly: blocks that are read ahead

template <class T>
__device__ void read_early(uint4 (&before)[2], const Place<T>& place, int block) {
#pragma unroll
  for (int half = 0; half < 2; ++half)
    if (place.valid(block, half))
      before[half] = *reinterpret_cast<const uint4*>(place.to(block, half));
}

// Adds a tile to C.
template <class T>
__device__ void add_tile(const float (&d)[128], uint4 (&before)[kEarly][2], const Place<T>& place) {
#pragma unroll
  for (int block = 0; block < kBlocks; ++block) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint4 old = before[block % kEarly][half];
      unsigned p[4] = {old.x, old.y, old.z, old.w};
      transpose_four(p);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float2 was = unpack<T>(p[i]);
        const int at = block * 16 + half * 2 + 4 * i;
        p[i] = pack_pair<T>(was.x + d[at], was.y + d[at + 1]);
      }
      place.put(block, half, p);
    }
    if (block + kEarly < kBlocks) read_early(before[block % kEarly], place, block + kEarly);
  }
}

// Writes tiles to C, or adds them. What is written waits in registers, rounded, and leaves while
// the next tile is multiplied.
template <class T, bool kAdd>
struct RowsEpilogue {
  static constexpr int kParts = kAdd ? 0 : kBlocks;
  const Problem& p;
  Place<T> place = {};
  std::conditional_t<kAdd, uint4[kEarly][2], unsigned[kTileCols / 4]> held = {};

  __device__ void prepare(const Tile& t) {
    if constexpr (kAdd) {
      place = Place<T>(p, t);
#pragma unroll
      for (int block = 0; block < kEarly; ++block) read_early(held[block], place, block);
    }
  }
  __device__ void finish(float (&d)[128], const Tile& t) {
    if constexpr (kAdd) {
      add_tile(d, held, place);
    } else {
      place = Place<T>(p, t);
#pragma unroll
      for (int i = 0; i < kTileCols / 4; ++i) held[i] = pack_pair<T>(d[2 * i], d[2 * i + 1]);
    }
  }
  __device__ void part(int block) {
    if constexpr (!kAdd) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        unsigned p[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) p[i] = held[block * 8 + half + 2 * i];
        place.put(block, half, p);
      }
    }
  }
};

// In assembly, since the compiler otherwise takes the sums of wgmma for integers, moves them to
// other registers and so makes one product wait for the other.
__device__ inline float pick(int which, float one, float zero) {
  float to;
  asm("{\n.reg .pred one;\nsetp.ne.b32 one, %1, 0;\nselp.f32 %0, %2, %3, one;\n}\n"
      : "=f"(to)
      : "r"(which), "f"(one), "f"(zero));
  return to;
}
__device__ inline float from_neighbour(float x) {
  float to;
  asm volatile("shfl.sync.bfly.b32 %0, %1, 1, 0x1f, 0xffffffff;\n" : "=f"(to) : "f"(x));
  return to;
}

// The same for dw in f32, of which half of a tile's columns leave at once and the other half wait.
// Nobody else adds to the same numbers in this launch, so the bits are the same each time. Where dw
// is written, each warp also sums the squares of its rows of the tile: what lies beyond dw is 0.
template <bool kAdd>
struct WeightsEpilogue {
  static constexpr int kParts = kTileCols / 16 / 2, kNow = kTileCols / 16 - kParts;
  const Problem& p;
  float* at = nullptr;     // what the thread takes to C: 16 bytes of rows `row` and `row` + 8 ...
  int rows = 0, cols = 0;  // ... in each 16 columns; that there are from here
  float held[kParts * 8] = {};
  float squares = 0.0F;
  float* sum = nullptr;  // where those go

  __device__ void prepare(const Tile&) {}
  __device__ void finish(float (&d)[128], const Tile& t) {
    const int lane = threadIdx.x % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const int row = t.row + warp * 16 + lane / 4;
    const int col = t.col + lane % 4 * 2 + (lane % 2 != 0 ? 6 : 0);
    at = static_cast<float*>(p.c) + (int64_t{t.group} * p.rows + row) * p.stride + col;
    rows = p.rows - row, cols = p.cols - col;
    squares = 0.0F;
    if (p.squares != nullptr) {
      const int high = (p.rows + kTileRows - 1) / kTileRows;
      const int wide = (p.cols + kTileCols - 1) / kTileCols;
      const int tile = (t.group * high + t.row / kTileRows) * wide + t.col / kTileCols;
      sum = p.squares + tile * kConsumerWarps + warp;
    }
#pragma unroll
    for (int block = 0; block < kNow; ++block) put(d + block * 8, block);
#pragma unroll
    for (int i = 0; i < kParts * 8; ++i) held[i] = d[kNow * 8 + i];
  }
  __device__ void part(int block) {
    put(held + block * 8, kNow + block);
    if (kAdd || block + 1 < kParts) return;
    const float all = warp_sum(squares);
    if (sum != nullptr && threadIdx.x % 32 == 0) *sum = all;
  }

  // d: of columns 2 c, 2 c + 1 and of 8 + 2 c, 9 + 2 c, two rows each. Of two neighbours one takes
  // four of the first 8 columns, the other of the second.
  __device__ void put(const float* d, int block) {
    const int odd = threadIdx.x % 2;
    if constexpr (!kAdd)
      squares += (d[0] * d[0] + d[1] * d[1]) + (d[2] * d[2] + d[3] * d[3]) +
                 ((d[4] * d[4] + d[5] * d[5]) + (d[6] * d[6] + d[7] * d[7]));
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float *first = d + half * 2, *second = first + 4;
      const float x = from_neighbour(pick(odd, first[0], second[0]));
      const float y = from_neighbour(pick(odd, first[1], second[1]));
      const float4 four = {pick(odd, x, first[0]), pick(odd, y, first[1]), pick(odd, second[0], x),
                           pick(odd, second[1], y)};
      if (half * 8 >= rows || block * 16 >= cols) continue;
      auto* to = reinterpret_cast<float4*>(at + half * 8 * p.stride + block * 16);
      if constexpr (kAdd) atomicAdd(to, four);
      if constexpr (!kAdd) *to = four;
    }
  }
};

}  // namespace temper::cuda::grouped

#endif
