// dq = dS k for Hopper, from the pieces of dS^T that the kernel of the keys left: a product like
// any other, whose tiles of 256 queries go from a sequence's first key to the diagonal.
#include "model/ops/cuda/attention_pieces.h"
#include "model/ops/cuda/bulk_copy.h"
#include "model/ops/cuda/each_narrow.h"
#include "model/ops/cuda/wgmma.h"

namespace temper::cuda::attention_hopper {
namespace {

constexpr int kKeys = 64;    // that pass at a time: half of a piece
constexpr int kColumns = 4;  // of 64 queries; each warpgroup has two
constexpr int kTileQueries = kColumns * kPieceQueries;
constexpr int kHalfBytes = kKeys * kPieceQueries * 2;

struct Arguments {
  Heads<Narrow> dq;
  int group;
  SequenceTable sequences;
  TileOrder order;
  Pieces pieces;
  float scale;
  bool fresh;
};

template <int kQk>
struct Shape {
  static constexpr int kStages = 4;
  static constexpr int kKeyBytes = kKeys * kQk * 2;
  static constexpr int kStageBytes = kColumns * kHalfBytes + kKeyBytes;
  static constexpr size_t kBytes = kStages * kStageBytes;
};

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

template <int kStages>
struct Shared {
  uint64_t tile_full[2], tile_empty[2], full[kStages], empty[kStages];
  TileAt tiles[2];

  __device__ void init() {
    for (int i = 0; i < 2; ++i)
      init_barrier(&tile_full[i], 1), init_barrier(&tile_empty[i], kConsumerWarps);
    for (int s = 0; s < kStages; ++s)
      init_barrier(&full[s], 1), init_barrier(&empty[s], kConsumerWarps);
    publish_barriers();
  }
};

template <int kQk>
struct Block {
  using S = Shape<kQk>;
  Shared<S::kStages>& shared;
  unsigned char* memory;
  const Arguments& a;

  __device__ unsigned char* column(int stage, int i) const {
    return memory + stage * S::kStageBytes + i * kHalfBytes;
  }
  __device__ unsigned char* keys(int stage) const { return column(stage, kColumns); }
  // The keys of a tile end here.
  __device__ int end_of(const TileAt& t) const {
    return min(min(t.length, t.begin + kTileQueries), a.pieces.upto);
  }

  // Loads the keys from `key` on, and dS of the tile's queries that see them.
  __device__ void load(const CUtensorMap& k, const TileAt& t, int64_t pieces, int key,
                       int stage) const {
    const int first = max(0, key - t.begin) / kPieceQueries;
    const int count =
        min(kColumns, (t.length - t.begin + kPieceQueries - 1) / kPieceQueries) - first;
    uint64_t* full = &shared.full[stage];
    arrive_expecting(full, count * kHalfBytes + S::kKeyBytes);
    load_rows<kQk, kKeys>(keys(stage), k, full, t.head / a.group, t.first + key);
    const int block = key / kPieceKeys * kPieceKeys;
    int64_t piece = pieces + pieces_of(t.length, a.pieces.from, block) +
                    (t.begin - block) / kPieceQueries + first;
    for (int i = first; i < first + count; ++i, ++piece)
      load_bytes(column(stage, i),
                 a.pieces.at + piece * kPieceNumbers + key % kPieceKeys * kPieceQueries, kHalfBytes,
                 full);
  }
  __device__ void produce(const CUtensorMap& k) const {
    Tiles<false, kTileQueries> tiles(a.sequences, a.order);
    Ring<S::kStages> ring;
    for (int n = 0;; ++n) {
      const TileAt t = tiles.next();
      const int64_t pieces = t.head < 0 ? 0 : first_piece(a.pieces, a.sequences, t, t.head);
      if (threadIdx.x % 32 == 0) {
        wait(&shared.tile_empty[n % 2], n / 2 & 1 ^ 1);
        shared.tiles[n % 2] = t;
        arrive(&shared.tile_full[n % 2]);
      }
      if (t.head < 0) return;
      const int end = end_of(t);
      for (int key = a.pieces.from; key < end; key += kKeys, ring.advance()) {
        if (threadIdx.x % 32 != 0) continue;
        wait(&shared.empty[ring.stage], ring.parity ^ 1);
        load(k, t, pieces, key, ring.stage);
      }
    }
  }

  // Adds to the queue dq += dS k of one column of queries.
  __device__ void add(float (&dq)[kQk / 2], int stage, int i) const {
    using Box = Boxes<kKeys>;
    const uint64_t left = Box::across(column(stage, i)), right = Box::across(keys(stage));
#pragma unroll
    for (int j = 0; j < kKeys / 16; ++j)
      multiply_64<Narrow, true, true>(dq, left + Box::inner_across(j), right + Box::inner_across(j),
                                      1);
  }
  __device__ void put(const TileAt& t, int column, const float (&dq)[kQk / 2]) const {
    const int row = t.begin + column * kPieceQueries + threadIdx.x % 128 / 32 * 16;
    const ResultRows to(a.dq, t.first + row, t.head, t.length - row);
    if (a.fresh && a.pieces.from == 0) return put_rows<false>(to, dq, {a.scale, a.scale});
    put_rows<true>(to, dq, {a.scale, a.scale});
  }
  __device__ void consume() const {
    const int column = static_cast<int>(warpgroup()) * 2;
    Ring<S::kStages> ring;
    for (int n = 0;; ++n) {
      wait(&shared.tile_full[n % 2], n / 2 & 1);
      const TileAt t = shared.tiles[n % 2];
      if (t.head < 0) return;
      arrive_as_warp(&shared.tile_empty[n % 2]);
      float low[kQk / 2] = {}, high[kQk / 2] = {};
      int last = -1, key = a.pieces.from;
      const int end = end_of(t), both = min(end, t.begin + (column + 1) * kPieceQueries);
      // What of a column lies beyond the sequence is made of whatever is there, and not stored.
      for (; key < both; key += kKeys, ring.advance()) {
        wait(&shared.full[ring.stage], ring.parity);
        begin_products();
        add(low, ring.stage, column);
        add(high, ring.stage, column + 1);
        end_products();
        wait_products<1>();
        if (last >= 0) arrive_as_warp(&shared.empty[last]);
        last = ring.stage;
      }
      wait_products<0>();
      arrive_as_warp(&shared.empty[last]);
      if (key < end) {  // the last keys that the second column sees
        wait(&shared.full[ring.stage], ring.parity);
        begin_products();
        add(high, ring.stage, column + 1);
        end_products();
        wait_products<0>();
        arrive_as_warp(&shared.empty[ring.stage]);
        key += kKeys, ring.advance();
      }
      for (; key < end; key += kKeys, ring.advance()) {  // the other warpgroup's
        wait(&shared.full[ring.stage], ring.parity);
        arrive_as_warp(&shared.empty[ring.stage]);
      }
      put(t, column, low);
      put(t, column + 1, high);
    }
  }
};

#endif

template <int kQk>
__global__ void __launch_bounds__(kThreads, 1)
    query_gradient(const __grid_constant__ CUtensorMap k, const __grid_constant__ Arguments a) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  extern __shared__ __align__(1024) unsigned char raw[];
  __shared__ Shared<Shape<kQk>::kStages> shared;
  if (threadIdx.x == 0) shared.init();
  __syncthreads();
  const Block<kQk> block{shared, raw, a};
  if (threadIdx.x >= kConsumers) {
    give_registers<40>();
    if (threadIdx.x < kConsumers + 32) block.produce(k);
  } else {
    take_registers<232>();
    block.consume();
  }
#endif
}

template <int kQk>
void launch(Context& ctx, const CUtensorMap& k, const Arguments& a) {
  constexpr size_t kBytes = Shape<kQk>::kBytes;
  allow_shared(query_gradient<kQk>, kBytes);
  query_gradient<kQk>
      <<<ctx.cuda->properties.multiProcessorCount, kThreads, kBytes, stream_of(ctx)>>>(k, a);
  check_launch();
}

}  // namespace

void launch_query_gradient_hopper(Context& ctx, const AttentionBackward<Narrow>& args,
                                  const Pieces& pieces, TileOrder order,
                                  const Sequences& sequences) {
  const auto& cu = sequences.cu_seqlens;
  const CUtensorMap k = map_of(args.k, cu.back(), kKeys);
  // What was left last is still in the L2 cache: it is taken first.
  order.backwards = 0;
  for (size_t s = 0; s + 1 < cu.size(); ++s)
    order.backwards += (std::max(0, cu[s + 1] - cu[s] - order.from) + kTileQueries - 1) /
                       kTileQueries * order.heads;
  const Arguments a{args.dq,        static_cast<int>(args.q.heads / args.k.heads),
                    args.sequences, order,
                    pieces,         args.scale,
                    args.fresh_dq};
  if (args.q.dim <= 64) return launch<64>(ctx, k, a);
  if (args.q.dim <= 128) return launch<128>(ctx, k, a);
  launch<192>(ctx, k, a);
}

}  // namespace temper::cuda::attention_hopper
