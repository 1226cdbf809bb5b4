// What the attention kernels for Hopper share: their shape, tensor maps of heads, and the rows that
// results go to. Numbers of 16 bits, heads of up to 192 (q, k) and 128 (v) numbers.
//
// A block is one warp that keeps the copy engine busy and two warpgroups that multiply, each with
// 64 rows of the block's tile. As many blocks as the card has multiprocessors take tiles in turn,
// those with most work first, so that the last ones are short.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "model/ops/cuda/attention_kernels.h"
#include "model/ops/cuda/attention_order.h"
#include "model/ops/cuda/counters.h"
#include "model/ops/cuda/following.h"
#include "model/ops/cuda/hopper.h"
#include "model/ops/cuda/narrow.h"
#include "model/ops/cuda/tensor_map.h"

namespace temper::cuda::attention_hopper {

constexpr int kGroups = 2, kConsumers = 128 * kGroups, kConsumerWarps = kConsumers / 32;
constexpr int kThreads = kConsumers + 128;
static_assert(kTileRows == 64 * kGroups);

// Whether the kernels can read and write all of these heads: rows aligned to 16 bytes, and at most
// 192 numbers of q and k, 128 of v.
template <class T>
bool fits(const Context& ctx, int dim_qk, int dim_v, std::initializer_list<const Heads<T>*> all) {
  const auto aligned = [](const Heads<T>* h) {
    return reinterpret_cast<uint64_t>(h->data) % 16 == 0 && h->stride % 8 == 0 &&
           h->token % 8 == 0 && h->dim % 8 == 0;
  };
  return ctx.cuda->properties.major == 9 && dim_qk <= 192 && dim_v <= 128 &&
         std::all_of(all.begin(), all.end(), aligned);
}

// Calls body.template operator()<QK, V>() with the kernels' dimensions that a head fits into.
template <class Body>
void dispatch_dims(int dim_qk, int dim_v, Body&& body) {
  if (dim_qk <= 64 && dim_v <= 64) return body.template operator()<64, 64>();
  if (dim_qk <= 128) return body.template operator()<128, 128>();
  body.template operator()<192, 128>();
}

// Boxes of `rows` tokens of one head, 64 numbers each. Coordinates: number, head, token.
template <class T>
CUtensorMap map_of(const Heads<T>& h, int64_t tokens, int rows) {
  return tensor_map(h.data, kDTypeOf<T>, {h.dim, h.heads, tokens}, {h.stride * 2, h.token * 2},
                    {kLine, 1, rows}, true);
}

// Numbers of a key that are its head's own, where `shared` has the rest, in boxes; else all boxes.
template <class T>
int own_boxes(const Heads<T>& own, const Heads<T>& shared) {
  return shared.data == nullptr ? INT_MAX : own.dim / kLine;
}
// Whether keys of two parts can be read: the second begins with a box.
template <class T>
bool parts_fit(const Heads<T>& own, const Heads<T>& shared) {
  return shared.data == nullptr || own.dim % kLine == 0;
}

}  // namespace temper::cuda::attention_hopper

#if defined(__CUDACC__) && defined(__CUDA_ARCH_FEAT_SM90_ALL)

#include "model/ops/cuda/bulk_copy.h"
#include "model/ops/cuda/quad.h"
#include "model/ops/cuda/warp_arrival.h"

namespace temper::cuda::attention_hopper {

// The number of this warpgroup, known to be that of the whole warp: operands made of it stay in
// uniform registers.
__device__ inline unsigned warpgroup() {
  return __shfl_sync(0xffffffffU, threadIdx.x / 128, 0);
}

// A ring of stages.
template <int kStages>
struct Ring {
  int stage = 0;
  unsigned parity = 0;
  __device__ void advance() {
    if (++stage == kStages) stage = 0, parity ^= 1;
  }
};

// kRows tokens x kCols numbers of a head, box after box.
template <int kCols, int kRows>
__device__ void load_rows(unsigned char* to, const CUtensorMap& map, uint64_t* full, int head,
                          int token) {
#pragma unroll
  for (int i = 0; i < kCols / kLine; ++i)
    load_box(to + i * kRows * kLine * 2, map, full, i * kLine, head, token);
}

// Keys, whose boxes from `own` on are shared by all heads.
struct KeyMaps {
  const CUtensorMap &own, &shared;
  int own_boxes;
};
template <int kCols, int kRows>
__device__ void load_rows(unsigned char* to, const KeyMaps& k, uint64_t* full, int head,
                          int token) {
#pragma unroll
  for (int i = 0; i < kCols / kLine; ++i) {
    const int behind = i - k.own_boxes;
    load_box(to + i * kRows * kLine * 2, behind < 0 ? k.own : k.shared, full,
             (behind < 0 ? i : behind) * kLine, behind < 0 ? head : 0, token);
  }
}
template <int kCols, int kRows>
__device__ void prefetch_rows(const KeyMaps& k, int head, int token) {
#pragma unroll
  for (int i = 0; i < kCols / kLine; ++i) {
    const int behind = i - k.own_boxes;
    prefetch_box(behind < 0 ? k.own : k.shared, (behind < 0 ? i : behind) * kLine,
                 behind < 0 ? head : 0, token);
  }
}

template <int kCols, int kRows>
__device__ void prefetch_rows(const CUtensorMap& map, int head, int token) {
#pragma unroll
  for (int i = 0; i < kCols / kLine; ++i) prefetch_box(map, i * kLine, head, token);
}

// A thread's rows g and g + 8 of 16 in device memory, 16 bytes of each in 32 columns.
template <class T>
struct ResultRows {
  T* at;           // row g, column 8 c
  int64_t stride;  // from row to row
  int rows, cols;  // that there are from here

  __device__ ResultRows(const Heads<T>& to, int token, int head, int count) {
    const int g = threadIdx.x % 32 / 4, c = threadIdx.x % 4;
    at = to.at(token + g, head) + 8 * c;
    stride = to.token;
    rows = count - g;
    cols = to.dim - 8 * c;
  }
  __device__ bool has(int half, int block) const { return half * 8 < rows && block * 32 < cols; }
  __device__ T* line(int half, int block) const { return at + half * 8 * stride + block * 32; }
};

// The same where the columns from `split` on, a multiple of 32, lie elsewhere.
template <class T>
struct ResultParts {
  ResultRows<T> first, second;
  int split;

  __device__ bool has(int half, int block) const {
    return block * 32 < split ? first.has(half, block) : second.has(half, block - split / 32);
  }
  __device__ T* line(int half, int block) const {
    return block * 32 < split ? first.line(half, block) : second.line(half, block - split / 32);
  }
};

// Rows of d times `factor` of their half: stored, or added to what is there.
template <bool kAdd, template <class> class Place, class T, int kCount>
__device__ void put_rows(const Place<T>& to, const float (&d)[kCount], const float (&factor)[2]) {
#pragma unroll
  for (int block = 0; block < kCount / 16; ++block)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const bool valid = to.has(half, block);
      auto* at = reinterpret_cast<uint4*>(to.line(half, block));
      unsigned old[4] = {}, p[4];
      if (kAdd) {
        const uint4 before = valid ? *at : make_uint4(0, 0, 0, 0);
        old[0] = before.x, old[1] = before.y, old[2] = before.z, old[3] = before.w;
        transpose_four(old);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float2 was = kAdd ? unpack<T>(old[i]) : make_float2(0.0F, 0.0F);
        const float* pair = &d[16 * block + 4 * i + 2 * half];
        p[i] = pack_pair<T>(fmaf(pair[0], factor[half], was.x), fmaf(pair[1], factor[half], was.y));
      }
      transpose_four(p);
      if (valid) *at = make_uint4(p[0], p[1], p[2], p[3]);
    }
}

constexpr float kLog2E = 1.4426950408889634F;
}  // namespace temper::cuda::attention_hopper

#endif
