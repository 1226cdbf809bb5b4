// How a tile's numbers leave the registers, written or added: rows of 16-bit floats, boxes of f32.
#pragma once

#include "model/ops/cuda/grouped_tiles.h"
#include "model/ops/cuda/narrow.h"
#include "model/ops/cuda/quad.h"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

namespace temper::cuda::grouped {

// 32 columns of one row, four threads a row: 16 bytes each. `before` is what C held.
template <bool kAdd, class T>
__device__ void store_narrow(T* to, const float* d, uint4 before, bool valid) {
  unsigned old[4] = {before.x, before.y, before.z, before.w}, p[4];
  if (kAdd) transpose_four(old);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 was = kAdd ? unpack<T>(old[i]) : make_float2(0.0F, 0.0F);
    p[i] = pack_pair<T>(was.x + d[4 * i], was.y + d[4 * i + 1]);
  }
  transpose_four(p);
  if (valid) *reinterpret_cast<uint4*>(to) = make_uint4(p[0], p[1], p[2], p[3]);
}

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
};
constexpr int kBlocks = kTileCols / 32, kEarly = 4;  // kEarly: blocks that are read ahead

template <class T>
__device__ void read_early(uint4 (&before)[2], const Place<T>& place, int block) {
#pragma unroll
  for (int half = 0; half < 2; ++half)
    if (place.valid(block, half))
      before[half] = *reinterpret_cast<const uint4*>(place.to(block, half));
}

template <bool kAdd, class T>
__device__ void store(const float (&d)[128], uint4 (&before)[kEarly][2], const Place<T>& place) {
#pragma unroll
  for (int block = 0; block < kBlocks; ++block) {
#pragma unroll
    for (int half = 0; half < 2; ++half)
      store_narrow<kAdd>(place.to(block, half), d + block * 16 + half * 2,
                         before[block % kEarly][half], place.valid(block, half));
    if (kAdd && block + kEarly < kBlocks) read_early(before[block % kEarly], place, block + kEarly);
  }
}

// Writes a box of f32 in shared memory to the tensor, later (add_box adds it).
__device__ inline void put_box(const CUtensorMap& map, const void* from, int x, int y, int z) {
  asm volatile(
      "cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%2, %3, %4}], [%1];\n"
      "cp.async.bulk.commit_group;\n" ::"l"(&map),
      "r"(shared_address(from)), "r"(x), "r"(y), "r"(z)
      : "memory");
}

// Writes a tile to C, or adds it.
template <class T, bool kAdd>
struct RowsEpilogue {
  const Problem& p;
  Place<T> place = {};
  uint4 before[kEarly][2] = {};

  __device__ void prepare(const Tile& t) {
    place = Place<T>(p, t);
    if constexpr (kAdd) {
#pragma unroll
      for (int block = 0; block < kEarly; ++block) read_early(before[block], place, block);
    }
  }
  __device__ void finish(float (&d)[128], const Tile&) {
    store<kAdd>(d, before, place);
  }
};

}  // namespace temper::cuda::grouped

#endif
