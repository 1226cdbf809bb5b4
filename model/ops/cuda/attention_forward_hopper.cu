// Causal attention forward for Hopper, after FlashAttention-3 (Shah et al. 2024): while a
// warpgroup turns scores into weights, the tensor cores multiply the weights before them by their
// values, and what the other warpgroup has ready. Keys come from the diagonal backwards, so that
// only the first tile hides any.
#include "model/ops/cuda/attention_hopper.h"
#include "model/ops/cuda/each_narrow.h"
#include "model/ops/cuda/wgmma.h"

namespace temper::cuda {
namespace {

using namespace attention_hopper;

constexpr int kKeys = kTileRows;  // the diagonal is one tile

struct Arguments {
  Heads<Narrow> o;
  int group;  // heads that share a key
  float* lse;
  int64_t lse_stride;
  SequenceTable sequences;
  TileOrder order;
  float scale;
  int own_boxes;  // of a key
};

template <int kQk, int kV>
struct Shape {
  static constexpr int kStages = 2;
  static constexpr int kQBytes = kTileRows * kQk * 2, kKBytes = kKeys * kQk * 2,
                       kVBytes = kKeys * kV * 2;
  static constexpr size_t kBytes = kQBytes + kStages * (kKBytes + kVBytes) + 1024;
};

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

template <int kStages>
struct Barriers {
  TileAt tiles[2];  // the tile whose queries are here, and the one before or after it
  uint64_t q_full, q_empty, k_full[kStages], k_empty[kStages], v_full[kStages], v_empty[kStages];

  __device__ void init() {
    init_barrier(&q_full, 1), init_barrier(&q_empty, kConsumerWarps);
    for (int s = 0; s < kStages; ++s) {
      init_barrier(&k_full[s], 1), init_barrier(&k_empty[s], kConsumerWarps);
      init_barrier(&v_full[s], 1), init_barrier(&v_empty[s], kConsumerWarps);
    }
    publish_barriers();
  }
};

template <int kQk, int kV>
struct Block {
  using S = Shape<kQk, kV>;
  using Bars = Barriers<S::kStages>;
  Bars& bars;
  unsigned char* memory;
  const Arguments& a;

  __device__ unsigned char* q() const { return memory; }
  __device__ unsigned char* k(int stage) const {
    return memory + S::kQBytes + stage * (S::kKBytes + S::kVBytes);
  }
  __device__ unsigned char* v(int stage) const { return k(stage) + S::kKBytes; }

  __device__ void produce(const CUtensorMap& q_map, const KeyMaps& k_maps,
                          const CUtensorMap& v_map) const {
    Tiles<true> tiles(a.sequences, a.order);
    Ring<S::kStages> ring;
    for (int n = 0;; ++n) {
      const TileAt t = tiles.next();
      if (threadIdx.x % 32 == 0) {
        wait(&bars.q_empty, n & 1 ^ 1);
        bars.tiles[n % 2] = t;
        if (t.head < 0) return arrive(&bars.q_full);
        arrive_expecting(&bars.q_full, S::kQBytes);
        load_rows<kQk, kTileRows>(q(), q_map, &bars.q_full, t.head, t.first + t.begin);
      }
      if (t.head < 0) return;
      const int kv = t.head / a.group;
      for (int key = t.past + t.begin; key > -kKeys; key -= kKeys, ring.advance()) {
        if (threadIdx.x % 32 != 0) continue;
        wait(&bars.k_empty[ring.stage], ring.parity ^ 1);
        arrive_expecting(&bars.k_full[ring.stage], S::kKBytes);
        load_rows<kQk, kKeys>(k(ring.stage), k_maps, &bars.k_full[ring.stage], kv,
                              t.first_key + key);
        wait(&bars.v_empty[ring.stage], ring.parity ^ 1);
        arrive_expecting(&bars.v_full[ring.stage], S::kVBytes);
        load_rows<kV, kKeys>(v(ring.stage), v_map, &bars.v_full[ring.stage], kv, t.first_key + key);
      }
    }
  }

  // Queues s = q k^T of this warpgroup's rows.
  __device__ void queue_scores(float (&s)[kKeys / 2], int stage) const {
    using Box = Boxes<kTileRows>;
    const uint64_t left = Box::lines(q()) + threadIdx.x / 128 * (64 * kLine * 2 / 16);
    const uint64_t right = Box::lines(k(stage));
    begin_products();
#pragma unroll
    for (int i = 0; i < kQk / 16; ++i)
      multiply_64<Narrow, false, false>(s, left + Box::inner(i), right + Box::inner(i), i > 0);
    end_products();
  }
  // Queues o += p v.
  __device__ void queue_values(float (&o)[kV / 2], const FragmentA (&p)[kKeys / 16],
                               int stage) const {
    using Box = Boxes<kKeys>;
    const uint64_t right = Box::across(v(stage));
    begin_products();
#pragma unroll
    for (int i = 0; i < kKeys / 16; ++i)
      multiply_64<Narrow, true>(o, p[i], right + Box::inner_across(i), 1);
    end_products();
  }
};

// The running softmax of a thread's two rows; `sum` is of its own columns.
struct Softmax {
  float top[2] = {-INFINITY, -INFINITY}, sum[2] = {};

  // Scores become weights under the new top; factor[i] is what the earlier ones are worth.
  __device__ void take(float (&s)[kKeys / 2], float (&factor)[2], float scale) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float highest = top[i];
#pragma unroll
      for (int j = 2 * i; j < kKeys / 2; j += 4) highest = fmaxf(highest, fmaxf(s[j], s[j + 1]));
      highest = fmaxf(highest, __shfl_xor_sync(0xffffffffU, highest, 1));
      highest = fmaxf(highest, __shfl_xor_sync(0xffffffffU, highest, 2));
      factor[i] = exp2_fast(scale * (top[i] - highest));
      top[i] = highest;
      const float offset = scale * highest;
      float added = 0.0F;
#pragma unroll
      for (int j = 2 * i; j < kKeys / 2; j += 4) {
        s[j] = exp2_fast(fmaf(scale, s[j], -offset));
        s[j + 1] = exp2_fast(fmaf(scale, s[j + 1], -offset));
        added += s[j] + s[j + 1];
      }
      sum[i] = fmaf(sum[i], factor[i], added);
    }
  }
  __device__ void finish() {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      sum[i] += __shfl_xor_sync(0xffffffffU, sum[i], 1);
      sum[i] += __shfl_xor_sync(0xffffffffU, sum[i], 2);
    }
  }
};

// Hides what lies behind the diagonal; `row` is the first of the thread's rows in the tile.
__device__ inline void hide_later(float (&s)[kKeys / 2], int row) {
  const int c = threadIdx.x % 4;
#pragma unroll
  for (int j = 0; j < kKeys / 2; ++j)
    if (j / 4 * 8 + 2 * c + j % 2 > row + j / 2 % 2 * 8) s[j] = -INFINITY;
}

// Hides the first `count` keys of a tile, which lie before the sequence.
__device__ inline void hide_earlier(float (&s)[kKeys / 2], int count) {
  const int c = threadIdx.x % 4;
#pragma unroll
  for (int j = 0; j < kKeys / 2; ++j)
    if (j / 4 * 8 + 2 * c + j % 2 < count) s[j] = -INFINITY;
}

__device__ inline void to_weights(FragmentA (&p)[kKeys / 16], const float (&s)[kKeys / 2]) {
#pragma unroll
  for (int i = 0; i < kKeys / 16; ++i) p[i] = left_of<Narrow>(s, i);
}

template <int kQk, int kV>
__device__ void consume(const Block<kQk, kV>& block) {
  constexpr int kStages = Shape<kQk, kV>::kStages;
  auto& bars = block.bars;
  const Arguments& a = block.a;
  const int lane = threadIdx.x % 32, warp_row = threadIdx.x / 32 * 16;
  const float scale = a.scale * kLog2E;
  Ring<kStages> ring;
  for (int n = 0;; ++n) {
    wait(&bars.q_full, n & 1);
    const TileAt& t = bars.tiles[n % 2];
    if (t.head < 0) return;
    float s[kKeys / 2], o[kV / 2] = {}, factor[2];
    FragmentA p[kKeys / 16];
    Softmax softmax;
    wait(&bars.k_full[ring.stage], ring.parity);
    block.queue_scores(s, ring.stage);
    wait_products<0>();
    arrive_as_warp(&bars.k_empty[ring.stage]);
    hide_later(s, warp_row + lane / 4);
    softmax.take(s, factor, scale);
    to_weights(p, s);
    for (int key = t.past + t.begin - kKeys; key > -kKeys; key -= kKeys) {
      const Ring<kStages> before = ring;
      ring.advance();
      wait(&bars.k_full[ring.stage], ring.parity);
      block.queue_scores(s, ring.stage);
      wait(&bars.v_full[before.stage], before.parity);
      block.queue_values(o, p, before.stage);
      wait_products<1>();
      arrive_as_warp(&bars.k_empty[ring.stage]);
      if (key < 0) hide_earlier(s, -key);
      softmax.take(s, factor, scale);
      wait_products<0>();
      arrive_as_warp(&bars.v_empty[before.stage]);
#pragma unroll
      for (int j = 0; j < kV / 2; ++j) o[j] *= factor[j / 2 % 2];
      to_weights(p, s);
    }
    arrive_as_warp(&bars.q_empty);
    wait(&bars.v_full[ring.stage], ring.parity);
    block.queue_values(o, p, ring.stage);
    softmax.finish();
    wait_products<0>();
    arrive_as_warp(&bars.v_empty[ring.stage]);
    ring.advance();

    const int token = t.first + t.begin + warp_row, rows = t.length - t.begin - warp_row;
    const float inverse[2] = {1.0F / softmax.sum[0], 1.0F / softmax.sum[1]};
    put_rows<false>(ResultRows(a.o, token, t.head, rows), o, inverse);
    if (a.lse == nullptr || lane % 4 != 0) continue;
#pragma unroll
    for (int i = 0; i < 2; ++i)
      if (lane / 4 + 8 * i < rows)
        a.lse[(token + lane / 4 + 8 * i) * a.lse_stride + t.head] =
            a.scale * softmax.top[i] + logf(softmax.sum[i]);
  }
}

#endif

template <int kQk, int kV>
__global__ void __launch_bounds__(kThreads, 1)
    forward(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k,
            const __grid_constant__ CUtensorMap k_shared, const __grid_constant__ CUtensorMap v,
            const __grid_constant__ Arguments a) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  extern __shared__ unsigned char raw[];
  __shared__ Barriers<Shape<kQk, kV>::kStages> bars;
  if (threadIdx.x == 0) bars.init();
  follow();
  __syncthreads();
  const Block<kQk, kV> block{bars, aligned_memory(raw), a};
  if (threadIdx.x >= kConsumers) {
    give_registers<40>();
    if (threadIdx.x < kConsumers + 32) block.produce(q, {k, k_shared, a.own_boxes}, v);
  } else {
    take_registers<232>();
    consume(block);
  }
#endif
}

}  // namespace

bool launch_forward_hopper(Context& ctx, const AttentionForward<Narrow>& args,
                           const Sequences& sequences) {
  if (!fits<Narrow>(ctx, args.q.dim, args.v.dim,
                    {&args.o, &args.q, &args.k, &args.v, &args.k_shared}) ||
      !parts_fit(args.k, args.k_shared))
    return false;
  const int64_t tokens = sequences.cu_seqlens.back(), keys = args.keys;
  const int64_t group = args.q.heads / args.k.heads;
  const int64_t bytes = 2 * (args.q.dim + args.v.dim) / group;  // a key and its value
  TileOrder order =
      order_of(sequences, args.q.heads, bytes, counter_of(ctx, Counter::attention_tiles));
  order.tiles = count_tiles(order, sequences, kTileRows);
  const Arguments a{
      args.o,     static_cast<int>(group),         args.lse, args.lse_stride, args.sequences, order,
      args.scale, own_boxes(args.k, args.k_shared)};
  const Heads<Narrow>& k_shared = args.k_shared.data == nullptr ? args.k : args.k_shared;
  dispatch_dims(args.q.dim, args.v.dim, [&]<int kQk, int kV>() {
    constexpr size_t kBytes = Shape<kQk, kV>::kBytes;
    allow_shared(forward<kQk, kV>, kBytes);
    const auto blocks = static_cast<unsigned>(ctx.cuda->properties.multiProcessorCount);
    launch_following(ctx, forward<kQk, kV>, {blocks, kThreads, kBytes},
                     map_of(args.q, tokens, kTileRows), map_of(args.k, keys, kKeys),
                     map_of(k_shared, keys, kKeys), map_of(args.v, keys, kKeys), a);
  });
  return true;
}

}  // namespace temper::cuda
