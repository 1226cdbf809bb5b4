// Causal attention backward for Hopper. Two kernels instead of atomics, so that sums have one
// order: blocks that own keys take dk and dv from the queries that see them and leave dS in device
// memory; then blocks that own queries take dq from that (attention_query_gradient_hopper.cu).
#include "model/ops/cuda/attention_pieces.h"
#include "model/ops/cuda/bulk_copy.h"
#include "model/ops/cuda/each_narrow.h"
#include "model/ops/cuda/wgmma.h"

namespace temper::cuda {
namespace {

using namespace attention_hopper;

struct Arguments {
  Heads<Narrow> dk, dk_shared, dv;
  int group;  // heads that share a key
  const float* lse;
  int64_t lse_stride;
  const float* delta;
  int64_t delta_stride;
  SequenceTable sequences;
  TileOrder order;
  Pieces pieces;
  float scale;
  int own_boxes;  // of a key
  bool fresh_dk, fresh_dv;
};

// A block's own keys and values, dS on its way out, and the stages of queries and their do that
// pass.
template <int kQk, int kV>
struct Shape {
  // Queries that pass at a time: as many as the sums leave registers for.
  static constexpr int kQueries = kQk + kV > 128 ? 64 : 128;
  static constexpr int kOwnQkBytes = kTileRows * kQk * 2;
  static constexpr int kOwnBytes = kOwnQkBytes + kTileRows * kV * 2;
  static constexpr int kQBytes = kQueries * kQk * 2, kStageBytes = kQBytes + kQueries * kV * 2;
  static constexpr int kDsBytes = kTileRows * kQueries * 2;
  static constexpr int kStages = 3;
  static constexpr size_t kBytes = kOwnBytes + kDsBytes + kStages * kStageBytes;
};

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

// Of a thread that multiplies, and of one that loads.
template <int kQk, int kV>
constexpr int kRegisters = kQk + kV > 256 ? 240 : 232;
template <int kQk, int kV>
constexpr int kProducerRegisters = 504 - 2 * kRegisters<kQk, kV>;

// What a block keeps in shared memory beside the rows.
template <class S>
struct Shared {
  uint64_t own_full, own_empty, full[S::kStages], empty[S::kStages];
  uint64_t ds_full[kGroups], ds_empty[kGroups];  // a warpgroup's dS
  TileAt tiles[2];    // the tile whose rows are the block's own, and the one before or after it
  int64_t pieces[2];  // where the tiles' pieces begin
  float lse[S::kStages][S::kQueries], delta[S::kStages][S::kQueries];

  __device__ void init() {
    init_barrier(&own_full, 1), init_barrier(&own_empty, kConsumerWarps + kGroups);
    for (int s = 0; s < S::kStages; ++s)
      init_barrier(&full[s], 32), init_barrier(&empty[s], kConsumerWarps);
    for (int w = 0; w < kGroups; ++w)
      init_barrier(&ds_full[w], 1), init_barrier(&ds_empty[w], kConsumerWarps / kGroups + 1);
    publish_barriers();
  }
};

template <class S>
struct Memory {
  unsigned char* at;
  __device__ unsigned char* k() const { return at; }
  __device__ unsigned char* v() const { return at + S::kOwnQkBytes; }
  __device__ unsigned char* ds() const { return at + S::kOwnBytes; }
  __device__ unsigned char* q(int stage) const {
    return at + S::kOwnBytes + S::kDsBytes + stage * S::kStageBytes;
  }
  __device__ unsigned char* d_o(int stage) const { return q(stage) + S::kQBytes; }
};

// Where this warpgroup's 64 of a tile's keys begin in an operand.
__device__ inline uint64_t own_lines(const unsigned char* at, unsigned group) {
  return Boxes<kTileRows>::lines(at) + group * (64 * kLine * 2 / 16);
}
// Queues d = own rows of this warpgroup times passing rows, over kCols numbers.
template <int kCols, int kCount>
__device__ void queue_rows(float (&d)[kCount], unsigned group, const unsigned char* own,
                           const unsigned char* passing) {
  using Other = Boxes<2 * kCount>;
  const uint64_t left = own_lines(own, group), right = Other::lines(passing);
  begin_products();
#pragma unroll
  for (int i = 0; i < kCols / 16; ++i)
    multiply_64<Narrow, false, false>(d, left + Boxes<kTileRows>::inner(i), right + Other::inner(i),
                                      i > 0);
  end_products();
}
// Queue d += weights of passing rows times those rows; weights are in registers or, of this
// warpgroup's keys, in shared memory.
template <int kSteps, int kCount>
__device__ void queue_sums(float (&d)[kCount], const FragmentA (&weights)[kSteps],
                           const unsigned char* passing) {
  using Other = Boxes<16 * kSteps>;
  const uint64_t right = Other::across(passing);
  begin_products();
#pragma unroll
  for (int i = 0; i < kSteps; ++i)
    multiply_64<Narrow, true>(d, weights[i], right + Other::inner_across(i), 1);
  end_products();
}
template <int kQueries, int kCount>
__device__ void queue_sums(float (&d)[kCount], unsigned group, const unsigned char* weights,
                           const unsigned char* passing) {
  using Other = Boxes<kQueries>;
  const uint64_t left = own_lines(weights, group), right = Other::across(passing);
  begin_products();
#pragma unroll
  for (int i = 0; i < kQueries / 16; ++i)
    multiply_64<Narrow, false, true>(d, left + Boxes<kTileRows>::inner(i),
                                     right + Other::inner_across(i), 1);
  end_products();
}

// Keeps numbers from being made later than here.
template <int kCount>
__device__ void pin(float (&d)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(d[i]));
}

// lse and delta of queries, a few of them for each lane of a warp.
template <int kQueries>
struct Statistics {
  float lse[kQueries / 32], delta[kQueries / 32];

  // No weight for what lies beyond the sequence.
  __device__ Statistics(const Arguments& a, const TileAt& t, int head, int begin) {
#pragma unroll
    for (int i = 0; i < kQueries / 32; ++i) {
      const int row = begin + 32 * i + static_cast<int>(threadIdx.x % 32);
      const bool valid = row < t.length;
      const int64_t token = t.first + row;
      lse[i] = valid ? kLog2E * a.lse[token * a.lse_stride + head] : INFINITY;
      delta[i] = valid ? a.delta[token * a.delta_stride + head] : 0.0F;
    }
  }
  __device__ void put(float* to_lse, float* to_delta) const {
#pragma unroll
    for (int i = 0; i < kQueries / 32; ++i)
      to_lse[threadIdx.x % 32 + 32 * i] = lse[i], to_delta[threadIdx.x % 32 + 32 * i] = delta[i];
  }
};

// The steps of a head's queries that see a block of keys, from `first` to `count`. The later
// warpgroup's keys are hidden from the first 64 queries.
template <class S>
struct Steps {
  int first, count;
  __device__ Steps(const TileAt& t, unsigned group)
      : count((t.length - t.begin + S::kQueries - 1) / S::kQueries) {
    first = S::kQueries == kTileRows / kGroups && group > 0 && count > 1;
  }
};

template <int kQk, int kV>
__device__ void produce(Shared<Shape<kQk, kV>>& shared, const Memory<Shape<kQk, kV>>& memory,
                        const Arguments& a, const CUtensorMap& q, const KeyMaps& k,
                        const CUtensorMap& v, const CUtensorMap& d_o) {
  using S = Shape<kQk, kV>;
  const int lane = threadIdx.x % 32;
  Tiles<false> tiles(a.sequences, a.order);
  Ring<S::kStages> ring;
  for (int n = 0;; ++n) {
    const TileAt t = tiles.next();
    const int64_t piece = t.head < 0 ? 0
                                     : first_piece(a.pieces, a.sequences, t, t.head * a.group) +
                                           pieces_of(t.length, a.pieces.from, t.begin);
    if (lane == 0) {
      if (t.head >= 0) {  // on their way while the tile before ends
        prefetch_rows<kQk, kTileRows>(k, t.head, t.first + t.begin);
        prefetch_rows<kV, kTileRows>(v, t.head, t.first + t.begin);
      }
      wait(&shared.own_empty, n & 1 ^ 1);
      shared.tiles[n % 2] = t;
      shared.pieces[n % 2] = piece;
      if (t.head < 0) return arrive(&shared.own_full);
      arrive_expecting(&shared.own_full, S::kOwnBytes);
      load_rows<kQk, kTileRows>(memory.k(), k, &shared.own_full, t.head, t.first + t.begin);
      load_rows<kV, kTileRows>(memory.v(), v, &shared.own_full, t.head, t.first + t.begin);
    }
    if (t.head < 0) return;
    for (int head = t.head * a.group; head < (t.head + 1) * a.group; ++head)
#pragma unroll 1
      for (int begin = t.begin; begin < t.length; begin += S::kQueries, ring.advance()) {
        uint64_t* full = &shared.full[ring.stage];
        const Statistics<S::kQueries> statistics(a, t, head, begin);
        wait(&shared.empty[ring.stage], ring.parity ^ 1);
        if (lane == 0) {
          expect_bytes(full, S::kStageBytes);
          load_rows<kQk, S::kQueries>(memory.q(ring.stage), q, full, head, t.first + begin);
          load_rows<kV, S::kQueries>(memory.d_o(ring.stage), d_o, full, head, t.first + begin);
        }
        statistics.put(shared.lse[ring.stage], shared.delta[ring.stage]);
        arrive(full);
      }
  }
}

// The weights of scores [64 keys, queries] as left operands, 16 queries each; `ahead` is how far
// the thread's first key lies behind the first query.
template <int kSteps>
__device__ void to_weights(FragmentA (&p)[kSteps], const float (&s)[8 * kSteps], const float* lse,
                           float scale, int ahead) {
  const int c = threadIdx.x % 4;
#pragma unroll
  for (int j = 0; j < 2 * kSteps; ++j) {
    const float2 l = *reinterpret_cast<const float2*>(lse + 8 * j + 2 * c);
#pragma unroll
    for (int e = 0; e < 2; ++e)
      p[j / 2].at[j % 2 * 2 + e] =
          pack_pair<Narrow>(exp2_fast(fmaf(scale, s[4 * j + 2 * e], -l.x)),
                            exp2_fast(fmaf(scale, s[4 * j + 2 * e + 1], -l.y)));
  }
  const int from = ahead - 2 * c;  // columns before this one do not see the first key
  if (from + 8 <= 0) return;
#pragma unroll
  for (int j = 0; j < 2 * kSteps; ++j)
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int hidden = from + 8 * e - 8 * j;
      p[j / 2].at[j % 2 * 2 + e] &= hidden > 1 ? 0U : hidden > 0 ? 0xFFFF0000U : 0xFFFFFFFFU;
    }
}

// ds = p (dp - delta) as left operands, 16 queries each.
template <int kSteps>
__device__ void to_gradients(FragmentA (&ds)[kSteps], const float (&dp)[8 * kSteps],
                             const FragmentA (&p)[kSteps], const float* delta) {
  const int c = threadIdx.x % 4;
#pragma unroll
  for (int i = 0; i < kSteps; ++i)
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const float2 d = *reinterpret_cast<const float2*>(delta + 16 * i + e / 2 * 8 + 2 * c);
      const float2 w = unpack<Narrow>(p[i].at[e]);
      ds[i].at[e] =
          pack_pair<Narrow>(w.x * (dp[8 * i + 2 * e] - d.x), w.y * (dp[8 * i + 2 * e + 1] - d.y));
    }
}

// Puts dS of this warpgroup's keys where its products and, on the way to their pieces, the copy
// engine read it.
template <int kSteps>
__device__ void publish(const FragmentA (&ds)[kSteps], unsigned group, unsigned char* to) {
  const int row = threadIdx.x % 16, lane = threadIdx.x % 32;
  unsigned char* line = to + (threadIdx.x / 32 * 16 + row) * (kLine * 2);
#pragma unroll
  for (int i = 0; i < kSteps; ++i)
    store_matrices(line + i / 4 * (kPieceNumbers * 2) + ((i % 4 * 2 + lane / 16) ^ (row % 8)) * 16,
                   ds[i].at);
  fence_shared_writes();
  if (group == 0) {  // the warpgroup meets
    asm volatile("bar.sync 1, 128;\n" ::: "memory");
  } else {
    asm volatile("bar.sync 2, 128;\n" ::: "memory");
  }
}

// One thread: sends the dS of a warpgroup to their pieces, step after step.
template <int kQk, int kV>
__device__ void send_pieces(Shared<Shape<kQk, kV>>& shared, const Memory<Shape<kQk, kV>>& memory,
                            const Arguments& a, int group) {
  using S = Shape<kQk, kV>;
  constexpr int kOwnKeys = kTileRows / kGroups;
  unsigned parity = 0;
  for (int n = 0;; ++n) {
    wait(&shared.own_full, n & 1);
    const TileAt t = shared.tiles[n % 2];
    if (t.head < 0) return;
    uint16_t* first = a.pieces.at + shared.pieces[n % 2] * kPieceNumbers + group * kOwnKeys * kLine;
    arrive(&shared.own_empty);  // reads no more of the tile than that
    const Steps<S> steps(t, group);
    for (int head = 0; head < a.group; ++head) {
      uint16_t* piece = first + steps.first * (S::kQueries / kPieceQueries) * kPieceNumbers;
      for (int begin = t.begin + steps.first * S::kQueries; begin < t.length;
           begin += S::kQueries, parity ^= 1) {
        wait(&shared.ds_full[group], parity);
#pragma unroll
        for (int i = 0; i < S::kQueries / kPieceQueries; ++i, piece += kPieceNumbers)
          if (begin + i * kPieceQueries < t.length)
            store_bytes(piece,
                        memory.ds() + (i * kPieceKeys + group * kOwnKeys) * (kPieceQueries * 2),
                        kOwnKeys * kPieceQueries * 2);
        wait_boxes_read();
        arrive(&shared.ds_empty[group]);
      }
      first += int64_t{pieces_of(t.length, a.pieces.from, a.pieces.upto)} * kPieceNumbers;
    }
  }
}

template <class Place, int kCount>
__device__ void put_gradient(bool fresh, const Place& to, const float (&d)[kCount], float factor) {
  if (fresh) return put_rows<false>(to, d, {factor, factor});
  put_rows<true>(to, d, {factor, factor});
}

// A warpgroup with its 64 of a block's keys.
template <int kQk, int kV>
struct Consumer {
  using S = Shape<kQk, kV>;
  static constexpr int kQueries = S::kQueries;
  Shared<S>& shared;
  const Memory<S>& memory;
  const Arguments& a;
  unsigned group;
  Ring<S::kStages> ring{};
  unsigned parity = 0;  // of this warpgroup's dS

  __device__ __forceinline__ void pass_hidden(const Steps<S>& steps) {
    if (steps.first == 0) return;
    wait(&shared.full[ring.stage], ring.parity);
    arrive_as_warp(&shared.empty[ring.stage]);
    ring.advance();
  }
  __device__ __forceinline__ void queue_scores(float (&s)[kQueries / 2]) {
    wait(&shared.full[ring.stage], ring.parity);
    queue_rows<kQk>(s, group, memory.k(), memory.q(ring.stage));
  }
  __device__ __forceinline__ void publish_ds(const FragmentA (&ds)[kQueries / 16]) {
    wait(&shared.ds_empty[group], parity ^ 1);
    parity ^= 1;
    publish(ds, group, memory.ds());
    if (threadIdx.x % 128 == 0) arrive(&shared.ds_full[group]);
  }
  // What the sums of a step were made of may be written again.
  __device__ __forceinline__ void release_step(int stage) const {
    arrive_as_warp(&shared.empty[stage]);
    if (threadIdx.x % 32 == 0) arrive(&shared.ds_empty[group]);
  }

  // Sums over the queries that see a tile: while dP - delta is weighed the tensor cores make dv,
  // while the weights of the next step are taken they make dk.
  __device__ __forceinline__ void add_up(const TileAt& t, float (&dk)[kQk / 2],
                                         float (&dv)[kV / 2]) {
    const int key = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4;
    const Steps<S> steps(t, group);
    int last = -1, heads = a.group, step = steps.first;
    float s[kQueries / 2];
    pass_hidden(steps);
    pin(dk), pin(dv);
    queue_scores(s);
    wait_products<0>();
    while (true) {
      const int stage = ring.stage;
      float dp[kQueries / 2];
      FragmentA p[kQueries / 16], ds[kQueries / 16];
      to_weights(p, s, shared.lse[stage], a.scale * kLog2E, key - step * kQueries);
      queue_rows<kV>(dp, group, memory.v(), memory.d_o(stage));
      queue_sums(dv, p, memory.d_o(stage));
      wait_products<1>();  // dP, and the sums of the step before
      if (last >= 0) release_step(last);
      last = stage;
      to_gradients(ds, dp, p, shared.delta[stage]);
      publish_ds(ds);
      if (++step == steps.count) --heads, step = steps.first;
      // The scores of the next step; at the end once more those of this one, for nothing.
      if (heads > 0) ring.advance();
      if (heads > 0 && step == steps.first) pass_hidden(steps);
      queue_scores(s);
      queue_sums<kQueries>(dk, group, memory.ds(), memory.q(stage));
      wait_products<1>();
      if (heads == 0) break;
    }
    ring.advance();
    wait_products<0>();
    release_step(last);
  }

  __device__ void run() {
    for (int n = 0;; ++n) {
      wait(&shared.own_full, n & 1);
      const TileAt& t = shared.tiles[n % 2];
      if (t.head < 0) return;
      float dk[kQk / 2] = {}, dv[kV / 2] = {};
      add_up(t, dk, dv);
      arrive_as_warp(&shared.own_empty);
      const int row = t.begin + threadIdx.x / 32 * 16, rows = t.length - row;
      const ResultRows<Narrow> to_dk(a.dk, t.first + row, t.head, rows);
      if (a.own_boxes < kQk / kLine) {
        const ResultRows<Narrow> to_shared(a.dk_shared, t.first + row, t.head, rows);
        const ResultParts<Narrow> both{to_dk, to_shared, a.own_boxes * kLine};
        put_gradient(a.fresh_dk, both, dk, a.scale);
      } else {
        put_gradient(a.fresh_dk, to_dk, dk, a.scale);
      }
      put_gradient(a.fresh_dv, ResultRows(a.dv, t.first + row, t.head, rows), dv, 1.0F);
    }
  }
};

#endif

template <int kQk, int kV>
__global__ void __launch_bounds__(kThreads, 1)
    backward(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k,
             const __grid_constant__ CUtensorMap k_shared, const __grid_constant__ CUtensorMap v,
             const __grid_constant__ CUtensorMap d_o, const __grid_constant__ Arguments a) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  extern __shared__ __align__(1024) unsigned char raw[];
  __shared__ Shared<Shape<kQk, kV>> shared;
  if (threadIdx.x == 0) shared.init();
  follow();
  __syncthreads();
  const Memory<Shape<kQk, kV>> memory{raw};
  if (threadIdx.x >= kConsumers) {
    give_registers<kProducerRegisters<kQk, kV>>();
    const int warp = static_cast<int>(threadIdx.x - kConsumers) / 32;
    if (warp == 0) produce<kQk, kV>(shared, memory, a, q, {k, k_shared, a.own_boxes}, v, d_o);
    if (warp > 0 && warp <= kGroups && threadIdx.x % 32 == 0)
      send_pieces<kQk, kV>(shared, memory, a, warp - 1);
  } else {
    take_registers<kRegisters<kQk, kV>>();
    Consumer<kQk, kV>{shared, memory, a, warpgroup()}.run();
  }
#endif
}

void launch_keys(Context& ctx, const AttentionBackward<Narrow>& args, const Pieces& pieces,
                 const TileOrder& order, int64_t tokens) {
  const int64_t group = args.q.heads / args.k.heads;
  const Heads<Narrow>& k_shared = args.k_shared.data == nullptr ? args.k : args.k_shared;
  const Arguments a{args.dk,
                    args.dk_shared,
                    args.dv,
                    static_cast<int>(group),
                    args.lse,
                    args.lse_stride,
                    args.delta,
                    args.q.heads,
                    args.sequences,
                    order,
                    pieces,
                    args.scale,
                    own_boxes(args.k, args.k_shared),
                    args.fresh_dk,
                    args.fresh_dv};
  dispatch_dims(args.q.dim, args.v.dim, [&]<int kQk, int kV>() {
    constexpr int kQueries = Shape<kQk, kV>::kQueries;
    constexpr size_t kBytes = Shape<kQk, kV>::kBytes;
    allow_shared(backward<kQk, kV>, kBytes);
    const auto blocks = static_cast<unsigned>(ctx.cuda->properties.multiProcessorCount);
    launch_following(ctx, backward<kQk, kV>, {blocks, kThreads, kBytes},
                     map_of(args.q, tokens, kQueries), map_of(args.k, tokens, kTileRows),
                     map_of(k_shared, tokens, kTileRows), map_of(args.v, tokens, kTileRows),
                     map_of(args.d_o, tokens, kQueries), a);
  });
}

// Queues both kernels for `heads` heads of keys from `first` on and the keys from .. upto.
struct Part {
  int64_t first, heads;
  int from, upto;
};
void launch_part(Context& ctx, const AttentionBackward<Narrow>& args, const Sequences& sequences,
                 const Part& part, int64_t numbers) {
  const ArenaScope scope(ctx.scratch);
  const int64_t group = args.q.heads / args.k.heads, tokens = sequences.cu_seqlens.back();
  const Tensor ds = ctx.scratch.tensor("attention.ds", kNarrow, {numbers});
  const Pieces pieces{static_cast<uint16_t*>(ds.data), static_cast<int>(part.heads * group),
                      static_cast<int>(part.first * group), part.from, part.upto};
  // What all tiles of a head read: queries and their do, or keys.
  TileOrder order = order_of(sequences, part.heads, group * 2 * (args.q.dim + args.v.dim),
                             counter_of(ctx, Counter::attention_tiles));
  order.first_head = static_cast<int>(part.first), order.from = part.from, order.upto = part.upto;
  order.tiles = count_tiles(order, sequences, kTileRows);
  launch_keys(ctx, args, pieces, order, tokens);
  order = order_of(sequences, part.heads * group, 2 * args.q.dim,
                   counter_of(ctx, Counter::attention_query_tiles));
  order.first_head = pieces.first_head, order.from = part.from;
  launch_query_gradient_hopper(ctx, args, pieces, order, sequences);
}

// dS of one part takes at most this many bytes a token, or what one head needs.
constexpr int64_t kBytesAToken = 64 << 10;
// At most this many keys of a sequence are gone through together; what they add to dq is rounded
// before the next ones come. The same wherever a sequence is packed.
constexpr int kKeysTogether = 8192;

}  // namespace

bool launch_backward_hopper(Context& ctx, const AttentionBackward<Narrow>& args,
                            const Sequences& sequences) {
  if (!fits<Narrow>(ctx, args.q.dim, args.v.dim,
                    {&args.dq, &args.dk, &args.dv, &args.d_o, &args.q, &args.k, &args.v,
                     &args.k_shared, &args.dk_shared}) ||
      !parts_fit(args.k, args.k_shared))
    return false;
  const auto& cu = sequences.cu_seqlens;
  for (int from = 0; from < sequences.longest(); from += kKeysTogether) {
    const int upto = from + kKeysTogether;
    int64_t numbers = 0;  // of dS, for a head of keys
    for (size_t s = 0; s + 1 < cu.size(); ++s)
      numbers += int64_t{pieces_of(cu[s + 1] - cu[s], from, upto)} * kPieceNumbers;
    numbers *= args.q.heads / args.k.heads;
    const int64_t most = std::max<int64_t>(1, cu.back() * kBytesAToken / (2 * numbers));
    const int64_t parts = (args.k.heads + most - 1) / most;
    const int64_t heads = (args.k.heads + parts - 1) / parts;
    for (int64_t first = 0; first < args.k.heads; first += heads) {
      const int64_t count = std::min(heads, args.k.heads - first);
      launch_part(ctx, args, sequences, {first, count, from, upto}, count * numbers);
    }
  }
  return true;
}

}  // namespace temper::cuda
