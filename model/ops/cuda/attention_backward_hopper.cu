// Causal attention backward for Hopper. Two kernels instead of atomics, so that sums have one
// order: blocks that own keys take dk and dv from the queries that see them, blocks that own
// queries take dq. P and dS are recomputed in either and never leave registers.
#include "model/ops/cuda/attention_hopper.h"
#include "model/ops/cuda/wgmma.h"

namespace temper::cuda {
namespace {

using namespace attention_hopper;

struct Arguments {
  Heads<bf16> dq, dk, dv;
  int group;  // heads that share a key
  const float* lse;
  int64_t lse_stride;
  const float* delta;
  int64_t delta_stride;
  SequenceTable sequences;
  TileOrder order;
  float scale;
  bool fresh_dq, fresh_dk, fresh_dv;
};

// A block's own rows, and the stages of the rows of the other side that pass: numbers of q or k,
// then of do or v, then, of queries, lse and delta.
template <int kQk, int kV, int kPassingRows, int kStageCount>
struct Shape {
  static constexpr int kPassing = kPassingRows, kStages = kStageCount;
  static constexpr int kOwnQkBytes = kTileRows * kQk * 2, kOwnBytes = kTileRows * (kQk + kV) * 2;
  static constexpr int kQkBytes = kPassing * kQk * 2, kStageBytes = kPassing * (kQk + kV) * 2;
  static constexpr size_t kBytes = kOwnBytes + kStages * kStageBytes + 1024;
};
// The wider the sums of a block of keys, the fewer registers are left for the queries that pass,
// and for those of which dP is taken at once.
template <int kQk, int kV>
using KeysShape = Shape<kQk, kV, (kQk + kV > 256 ? 32 : 64), (kQk + kV > 256 ? 4 : 3)>;
template <int kQk, int kV>
constexpr int kQueriesAtOnce = kQk + kV > 128 ? 32 : 64;
template <int kQk, int kV>
using QueriesShape = Shape<kQk, kV, 64, 3>;

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

// What a block keeps in shared memory beside the rows.
template <class S>
struct Shared {
  uint64_t own_full, own_empty, full[S::kStages], empty[S::kStages];
  TileAt tiles[2];  // the tile whose rows are the block's own, and the one before or after it
  float lse[S::kStages][S::kPassing], delta[S::kStages][S::kPassing];

  // `arrivals`: threads that fill a stage.
  __device__ void init(unsigned arrivals) {
    init_barrier(&own_full, 1), init_barrier(&own_empty, kConsumerWarps);
    for (int s = 0; s < S::kStages; ++s)
      init_barrier(&full[s], arrivals), init_barrier(&empty[s], kConsumerWarps);
    publish_barriers();
  }
};

// Tells the consumers their next tile, whose own rows are then to be loaded; or that there is none.
template <class S>
__device__ void begin_tile(Shared<S>& shared, int n, const TileAt& t) {
  wait(&shared.own_empty, n & 1 ^ 1);
  shared.tiles[n % 2] = t;
  if (t.head < 0) return arrive(&shared.own_full);
  arrive_expecting(&shared.own_full, S::kOwnBytes);
}

template <class S>
struct Memory {
  unsigned char* at;
  __device__ unsigned char* own_qk() const { return at; }
  __device__ unsigned char* own_v() const { return at + S::kOwnQkBytes; }
  __device__ unsigned char* qk(int stage) const {
    return at + S::kOwnBytes + stage * S::kStageBytes;
  }
  __device__ unsigned char* v(int stage) const { return qk(stage) + S::kQkBytes; }
};

// Queues d = own rows of this warpgroup times passing rows from `first` on, over kCols numbers.
template <int kCols, int kPassing, int kCount>
__device__ void queue_rows(float (&d)[kCount], const unsigned char* own,
                           const unsigned char* passing, int first = 0) {
  using Own = Boxes<kTileRows>;
  using Other = Boxes<kPassing>;
  const uint64_t left = Own::lines(own) + threadIdx.x / 128 * (64 * kLine * 2 / 16);
  const uint64_t right = Other::lines(passing) + first * (kLine * 2 / 16);
  begin_products();
#pragma unroll
  for (int i = 0; i < kCols / 16; ++i)
    multiply_64<false, false>(d, left + Own::inner(i), right + Other::inner(i), i > 0);
  end_products();
}
// Adds to the queue d += weights of passing rows, from `first` on, times those rows.
template <int kPassing, int kSteps, int kCount>
__device__ void add_sums(float (&d)[kCount], const FragmentA (&weights)[kSteps],
                         const unsigned char* passing, int first = 0) {
  using Other = Boxes<kPassing>;
  const uint64_t right = Other::across(passing) + Other::inner_across(first / 16);
#pragma unroll
  for (int i = 0; i < kSteps; ++i)
    multiply_64<true>(d, weights[i], right + Other::inner_across(i), 1);
}

template <int kCount>
__device__ void put_gradient(bool fresh, const ResultRows& to, const float (&d)[kCount],
                             float factor) {
  if (fresh) return put_rows<false>(to, d, {factor, factor});
  put_rows<true>(to, d, {factor, factor});
}

__device__ inline void release(uint64_t* barrier) {
  if (threadIdx.x % 32 == 0) arrive(barrier);
}

// ---- dk and dv. Everything is transposed: rows are keys, columns are queries.

// The steps of a block of keys: the queries that see them, of each head of the group in turn.
struct QuerySteps {
  int first, each;  // the first step's tile of a head, and the steps of a head
  template <class S>
  __device__ static QuerySteps of(const TileAt& t) {
    const int first = t.begin / S::kPassing;
    return {first, (t.length + S::kPassing - 1) / S::kPassing - first};
  }
};

template <int kQk, int kV>
__device__ void produce_queries(Shared<KeysShape<kQk, kV>>& shared,
                                const Memory<KeysShape<kQk, kV>>& memory, const Arguments& a,
                                const CUtensorMap& q, const CUtensorMap& k, const CUtensorMap& v,
                                const CUtensorMap& d_o) {
  using S = KeysShape<kQk, kV>;
  const int lane = threadIdx.x % 32;
  Tiles<false> tiles(a.sequences, a.order);
  Ring<S::kStages> ring;
  for (int n = 0;; ++n) {
    const TileAt t = tiles.next();
    if (lane == 0) begin_tile(shared, n, t);
    if (t.head < 0) return;
    if (lane == 0) {
      load_rows<kQk, kTileRows>(memory.own_qk(), k, &shared.own_full, t.head, t.first + t.begin);
      load_rows<kV, kTileRows>(memory.own_v(), v, &shared.own_full, t.head, t.first + t.begin);
    }
    const QuerySteps steps = QuerySteps::of<S>(t);
    for (int i = 0; i < a.group * steps.each; ++i, ring.advance()) {
      const int head = t.head * a.group + i / steps.each;
      const int begin = (steps.first + i % steps.each) * S::kPassing;
      wait(&shared.empty[ring.stage], ring.parity ^ 1);
#pragma unroll
      for (int r = lane; r < S::kPassing; r += 32) {
        // No weight for what lies beyond the sequence.
        const bool valid = begin + r < t.length;
        const int64_t token = t.first + begin + r;
        shared.lse[ring.stage][r] = valid ? kLog2E * a.lse[token * a.lse_stride + head] : INFINITY;
        shared.delta[ring.stage][r] = valid ? a.delta[token * a.delta_stride + head] : 0.0F;
      }
      if (lane > 0) {
        arrive(&shared.full[ring.stage]);
        continue;
      }
      arrive_expecting(&shared.full[ring.stage], S::kStageBytes);
      load_rows<kQk, S::kPassing>(memory.qk(ring.stage), q, &shared.full[ring.stage], head,
                                  t.first + begin);
      load_rows<kV, S::kPassing>(memory.v(ring.stage), d_o, &shared.full[ring.stage], head,
                                 t.first + begin);
    }
  }
}

// Scores [64 keys, queries] become weights; `ahead` is how far the thread's first key lies behind
// the tile's first query.
template <int kPassing>
__device__ void transposed_weights(float (&s)[kPassing / 2], const float* lse, float scale,
                                   int ahead) {
  const int c = threadIdx.x % 4;
#pragma unroll
  for (int j = 0; j < kPassing / 2; j += 4) {
    const float2 l = *reinterpret_cast<const float2*>(lse + 2 * j + 2 * c);
    s[j] = exp2_fast(fmaf(scale, s[j], -l.x)), s[j + 1] = exp2_fast(fmaf(scale, s[j + 1], -l.y));
    s[j + 2] = exp2_fast(fmaf(scale, s[j + 2], -l.x));
    s[j + 3] = exp2_fast(fmaf(scale, s[j + 3], -l.y));
  }
  const int from = ahead - 2 * c;  // columns before this one do not see the first key
  if (from + 8 <= 0) return;
#pragma unroll
  for (int j = 0; j < kPassing / 2; ++j)
    if (j / 4 * 8 + j % 2 - j / 2 % 2 * 8 < from) s[j] = 0.0F;
}

// ds = p (dp - delta) as left operands, 16 queries each.
template <int kSteps>
__device__ void transposed_gradients(FragmentA (&ds)[kSteps], const float (&dp)[8 * kSteps],
                                     const FragmentA (&p)[kSteps], const float* delta) {
  const int c = threadIdx.x % 4;
#pragma unroll
  for (int i = 0; i < kSteps; ++i)
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const float2 d = *reinterpret_cast<const float2*>(delta + 16 * i + e / 2 * 8 + 2 * c);
      const float2 w = unpack(p[i].at[e]);
      ds[i].at[e] = pack_pair(w.x * (dp[8 * i + 2 * e] - d.x), w.y * (dp[8 * i + 2 * e + 1] - d.y));
    }
}

template <int kQk, int kV>
__device__ void consume_queries(Shared<KeysShape<kQk, kV>>& shared,
                                const Memory<KeysShape<kQk, kV>>& memory, const Arguments& a) {
  using S = KeysShape<kQk, kV>;
  constexpr int kPassing = S::kPassing, kAtOnce = kQueriesAtOnce<kQk, kV>;
  constexpr int kParts = kPassing / kAtOnce, kSteps = kAtOnce / 16;
  const int warp_row = threadIdx.x / 32 * 16, g = threadIdx.x % 32 / 4;
  const float scale = a.scale * kLog2E;
  Ring<S::kStages> ring;
  for (int n = 0;; ++n) {
    wait(&shared.own_full, n & 1);
    const TileAt& t = shared.tiles[n % 2];
    if (t.head < 0) return;
    float dk[kQk / 2] = {}, dv[kV / 2] = {};
    FragmentA p[kParts][kSteps], ds[kParts][kSteps];
    const QuerySteps steps = QuerySteps::of<S>(t);
    int last = -1;
    // How far the thread's first key lies behind the passing queries.
    const int ahead = t.begin + warp_row + g - steps.first * kPassing;
    for (int i = 0; i < a.group * steps.each; ++i, ring.advance()) {
      float s[kPassing / 2], dp[kAtOnce / 2];
      const unsigned char *q = memory.qk(ring.stage), *d_o = memory.v(ring.stage);
      wait(&shared.full[ring.stage], ring.parity);
      queue_rows<kQk, kPassing>(s, memory.own_qk(), q);
      wait_products<0>();  // the sums of the step before too
      if (last >= 0) release(&shared.empty[last]);
      last = ring.stage;
      transposed_weights<kPassing>(s, shared.lse[ring.stage], scale,
                                   ahead - i % steps.each * kPassing);
#pragma unroll
      for (int m = 0; m < kPassing / 16; ++m) p[m / kSteps][m % kSteps] = left_of(s, m);
      queue_rows<kV, kPassing>(dp, memory.own_v(), d_o);
      begin_products();
#pragma unroll
      for (int m = 0; m < kParts; ++m) add_sums<kPassing>(dv, p[m], d_o, m * kAtOnce);
      end_products();
#pragma unroll
      for (int m = 0; m < kParts; ++m) {
        wait_products<1>();
        transposed_gradients(ds[m], dp, p[m], shared.delta[ring.stage] + m * kAtOnce);
        if (m + 1 < kParts) queue_rows<kV, kPassing>(dp, memory.own_v(), d_o, (m + 1) * kAtOnce);
        begin_products();
        add_sums<kPassing>(dk, ds[m], q, m * kAtOnce);
        end_products();
      }
    }
    wait_products<0>();
    if (last >= 0) release(&shared.empty[last]);
    release(&shared.own_empty);
    const int token = t.first + t.begin + warp_row, rows = t.length - t.begin - warp_row;
    put_gradient(a.fresh_dk, ResultRows(a.dk, token, t.head, rows), dk, a.scale);
    put_gradient(a.fresh_dv, ResultRows(a.dv, token, t.head, rows), dv, 1.0F);
  }
}

// ---- dq: rows are queries, columns are keys.

template <int kQk, int kV>
__device__ void produce_keys(Shared<QueriesShape<kQk, kV>>& shared,
                             const Memory<QueriesShape<kQk, kV>>& memory, const Arguments& a,
                             const CUtensorMap& q, const CUtensorMap& k, const CUtensorMap& v,
                             const CUtensorMap& d_o) {
  using S = QueriesShape<kQk, kV>;
  Tiles<true> tiles(a.sequences, a.order);
  Ring<S::kStages> ring;
  for (int n = 0;; ++n) {
    const TileAt t = tiles.next();
    if (threadIdx.x % 32 == 0) begin_tile(shared, n, t);
    if (t.head < 0) return;
    if (threadIdx.x % 32 != 0) continue;
    const int kv = t.head / a.group, end = min(t.length, t.begin + kTileRows);
    load_rows<kQk, kTileRows>(memory.own_qk(), q, &shared.own_full, t.head, t.first + t.begin);
    load_rows<kV, kTileRows>(memory.own_v(), d_o, &shared.own_full, t.head, t.first + t.begin);
    for (int key = 0; key < end; key += S::kPassing, ring.advance()) {
      uint64_t* full = &shared.full[ring.stage];
      wait(&shared.empty[ring.stage], ring.parity ^ 1);
      arrive_expecting(full, S::kStageBytes);
      load_rows<kQk, S::kPassing>(memory.qk(ring.stage), k, full, kv, t.first + key);
      load_rows<kV, S::kPassing>(memory.v(ring.stage), v, full, kv, t.first + key);
    }
  }
}

// lse and delta of a thread's two rows; 0 beyond the sequence, whose dq nobody stores.
struct OwnStatistics {
  float lse[2] = {}, delta[2] = {};

  __device__ OwnStatistics(const Arguments& a, int token, int head, int rows) {
    const int g = threadIdx.x % 32 / 4;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      if (g + 8 * i >= rows) continue;
      const int64_t at = token + g + 8 * i;
      lse[i] = kLog2E * a.lse[at * a.lse_stride + head];
      delta[i] = a.delta[at * a.delta_stride + head];
    }
  }
  // Scores become weights; `behind` is how far the thread's first query lies behind the first key.
  template <int kPassing>
  __device__ void weights(float (&s)[kPassing / 2], float scale, int behind) const {
    const int c = threadIdx.x % 4;
#pragma unroll
    for (int j = 0; j < kPassing / 2; ++j) s[j] = exp2_fast(fmaf(scale, s[j], -lse[j / 2 % 2]));
    if (behind >= kPassing - 1) return;  // every query sees every key
#pragma unroll
    for (int j = 0; j < kPassing / 2; ++j)
      if (j / 4 * 8 + 2 * c + j % 2 > behind + j / 2 % 2 * 8) s[j] = 0.0F;
  }
  template <int kPassing>
  __device__ void gradients(FragmentA (&ds)[kPassing / 16], float (&dp)[kPassing / 2],
                            const float (&p)[kPassing / 2]) const {
#pragma unroll
    for (int j = 0; j < kPassing / 2; ++j) dp[j] = p[j] * (dp[j] - delta[j / 2 % 2]);
#pragma unroll
    for (int i = 0; i < kPassing / 16; ++i) ds[i] = left_of(dp, i);
  }
};

template <int kQk, int kV>
__device__ void consume_keys(Shared<QueriesShape<kQk, kV>>& shared,
                             const Memory<QueriesShape<kQk, kV>>& memory, const Arguments& a) {
  using S = QueriesShape<kQk, kV>;
  constexpr int kPassing = S::kPassing;
  const int warp_row = threadIdx.x / 32 * 16, g = threadIdx.x % 32 / 4;
  const float scale = a.scale * kLog2E;
  Ring<S::kStages> ring;
  for (int n = 0;; ++n) {
    wait(&shared.own_full, n & 1);
    const TileAt& t = shared.tiles[n % 2];
    if (t.head < 0) return;
    const int token = t.first + t.begin + warp_row, rows = t.length - t.begin - warp_row;
    const int end = min(t.length, t.begin + kTileRows);
    const OwnStatistics own(a, token, t.head, rows);
    float dq[kQk / 2] = {};
    FragmentA ds[kPassing / 16];
    int last = -1;
    for (int key = 0; key < end; key += kPassing, ring.advance()) {
      float s[kPassing / 2], dp[kPassing / 2];
      wait(&shared.full[ring.stage], ring.parity);
      queue_rows<kQk, kPassing>(s, memory.own_qk(), memory.qk(ring.stage));
      queue_rows<kV, kPassing>(dp, memory.own_v(), memory.v(ring.stage));
      wait_products<1>();  // the scores, and the sums of the step before
      if (last >= 0) release(&shared.empty[last]);
      last = ring.stage;
      own.weights<kPassing>(s, scale, t.begin + warp_row + g - key);
      wait_products<0>();
      own.gradients<kPassing>(ds, dp, s);
      begin_products();
      add_sums<kPassing>(dq, ds, memory.qk(ring.stage));
      end_products();
    }
    wait_products<0>();
    release(&shared.empty[last]);
    release(&shared.own_empty);
    put_gradient(a.fresh_dq, ResultRows(a.dq, token, t.head, rows), dq, a.scale);
  }
}

#endif

// ---- The kernels

template <int kQk, int kV>
__global__ void __launch_bounds__(kThreads, 1)
    backward_keys(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k,
                  const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap d_o,
                  const __grid_constant__ Arguments a) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  extern __shared__ unsigned char raw[];
  __shared__ Shared<KeysShape<kQk, kV>> shared;
  if (threadIdx.x == 0) shared.init(32);
  __syncthreads();
  const Memory<KeysShape<kQk, kV>> memory{aligned_memory(raw)};
  if (threadIdx.x >= kConsumers) {
    give_registers<40>();
    if (threadIdx.x < kConsumers + 32) produce_queries<kQk, kV>(shared, memory, a, q, k, v, d_o);
  } else {
    take_registers<232>();
    consume_queries<kQk, kV>(shared, memory, a);
  }
#endif
}

template <int kQk, int kV>
__global__ void __launch_bounds__(kThreads, 1)
    backward_queries(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k,
                     const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap d_o,
                     const __grid_constant__ Arguments a) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  extern __shared__ unsigned char raw[];
  __shared__ Shared<QueriesShape<kQk, kV>> shared;
  if (threadIdx.x == 0) shared.init(1);
  __syncthreads();
  const Memory<QueriesShape<kQk, kV>> memory{aligned_memory(raw)};
  if (threadIdx.x >= kConsumers) {
    give_registers<40>();
    if (threadIdx.x < kConsumers + 32) produce_keys<kQk, kV>(shared, memory, a, q, k, v, d_o);
  } else {
    take_registers<232>();
    consume_keys<kQk, kV>(shared, memory, a);
  }
#endif
}

}  // namespace

bool launch_backward_hopper(Context& ctx, const AttentionBackward<bf16>& args,
                            const Sequences& sequences) {
  if (!fits(ctx, args.q.dim, args.v.dim,
            {&args.dq, &args.dk, &args.dv, &args.d_o, &args.q, &args.k, &args.v}))
    return false;
  const ArenaScope scope(ctx.scratch);
  unsigned* const taken = zero_counters<2>(ctx);
  const int64_t tokens = sequences.cu_seqlens.back();
  const int64_t group = args.q.heads / args.k.heads;
  const int64_t bytes =
      2 * (args.q.dim + args.v.dim);  // a query and its do, or a key and its value
  Arguments a{args.dq,        args.dk,
              args.dv,        static_cast<int>(group),
              args.lse,       args.lse_stride,
              args.delta,     args.q.heads,
              args.sequences, order_of(sequences, args.k.heads, group * bytes, taken),
              args.scale,     args.fresh_dq,
              args.fresh_dk,  args.fresh_dv};
  const int blocks = ctx.cuda->properties.multiProcessorCount;
  dispatch_dims(args.q.dim, args.v.dim, [&]<int kQk, int kV>() {
    using Keys = KeysShape<kQk, kV>;
    using Queries = QueriesShape<kQk, kV>;
    const auto map = [&](const Heads<bf16>& h, int rows) { return map_of(h, tokens, rows); };
    allow_shared(backward_keys<kQk, kV>, Keys::kBytes);
    allow_shared(backward_queries<kQk, kV>, Queries::kBytes);
    backward_keys<kQk, kV><<<blocks, kThreads, Keys::kBytes, stream_of(ctx)>>>(
        map(args.q, Keys::kPassing), map(args.k, kTileRows), map(args.v, kTileRows),
        map(args.d_o, Keys::kPassing), a);
    check_launch();
    a.order = order_of(sequences, args.q.heads, bytes / group, taken + 1);
    backward_queries<kQk, kV><<<blocks, kThreads, Queries::kBytes, stream_of(ctx)>>>(
        map(args.q, kTileRows), map(args.k, Queries::kPassing), map(args.v, Queries::kPassing),
        map(args.d_o, kTileRows), a);
    check_launch();
  });
  return true;
}

}  // namespace temper::cuda
