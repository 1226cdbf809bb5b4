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
  int own_boxes;         // of a key; the numbers of dq behind them are turned back
  Rows<float> cos, sin;  // by these angles
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
  __device__ void load(const KeyMaps& k, const TileAt& t, int64_t pieces, int key,
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
  __device__ void produce(const KeyMaps& k) const {
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
  // Turns back what RoPE turned: pairs of neighbouring numbers, which a thread has together.
  __device__ void turn_back(float (&dq)[kQk / 2], int64_t token, int rows) const {
    const int g = threadIdx.x % 32 / 4, c = threadIdx.x % 4;
#pragma unroll
    for (int block = 0; block < kQk / kLine; ++block) {
      if (block < a.own_boxes) continue;
      const int64_t first = int64_t{block - a.own_boxes} * (kLine / 2) + c;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        if (g + 8 * half >= rows) continue;
        const int64_t angle = (token + g + 8 * half) * a.cos.stride + first;
#pragma unroll
        for (int i = 0; i < kLine / 8; ++i) {
          if (first + 4 * i >= a.cos.cols) continue;
          float* pair = &dq[block * (kLine / 2) + 4 * i + 2 * half];
          const float x = pair[0], y = pair[1];
          const float cos = a.cos.data[angle + 4 * i], sin = a.sin.data[angle + 4 * i];
          pair[0] = x * cos + y * sin;
          pair[1] = y * cos - x * sin;
        }
      }
    }
  }
  __device__ void put(const TileAt& t, int column, float (&dq)[kQk / 2]) const {
    const int row = t.begin + column * kPieceQueries + threadIdx.x % 128 / 32 * 16;
    if (a.own_boxes < kQk / kLine) turn_back(dq, t.first + row, t.length - row);
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
    query_gradient(const __grid_constant__ CUtensorMap k,
                   const __grid_constant__ CUtensorMap k_shared,
                   const __grid_constant__ Arguments a) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  extern __shared__ __align__(1024) unsigned char raw[];
  __shared__ Shared<Shape<kQk>::kStages> shared;
  if (threadIdx.x == 0) shared.init();
  follow();
  __syncthreads();
  const Block<kQk> block{shared, raw, a};
  if (threadIdx.x >= kConsumers) {
    give_registers<40>();
    if (threadIdx.x < kConsumers + 32) block.produce({k, k_shared, a.own_boxes});
  } else {
    take_registers<232>();
    block.consume();
  }
#endif
}

template <int kQk>
void launch(Context& ctx, const CUtensorMap& k, const CUtensorMap& k_shared, const Arguments& a) {
  constexpr size_t kBytes = Shape<kQk>::kBytes;
  allow_shared(query_gradient<kQk>, kBytes);
  const auto blocks = static_cast<unsigned>(ctx.cuda->properties.multiProcessorCount);
  launch_following(ctx, query_gradient<kQk>, {blocks, kThreads, kBytes}, k, k_shared, a);
}

}  // namespace

void launch_query_gradient_hopper(Context& ctx, const AttentionBackward<Narrow>& args,
                                  const Pieces& pieces, TileOrder order,
                                  const Sequences& sequences) {
  const auto& cu = sequences.cu_seqlens;
  const CUtensorMap k = map_of(args.k, cu.back(), kKeys);
  const CUtensorMap k_shared =
      args.k_shared.data == nullptr ? k : map_of(args.k_shared, cu.back(), kKeys);
  // What was left last is still in the L2 cache: it is taken first.
  order.tiles = count_tiles(order, sequences, kTileQueries);
  order.backwards = true;
  const Arguments a{args.dq,        static_cast<int>(args.q.heads / args.k.heads),
                    args.sequences, order,
                    pieces,         args.scale,
                    args.fresh_dq,  own_boxes(args.k, args.k_shared),
                    args.cos,       args.sin};
  if (args.q.dim <= 64) return launch<64>(ctx, k, k_shared, a);
  if (args.q.dim <= 128) return launch<128>(ctx, k, k_shared, a);
  launch<192>(ctx, k, k_shared, a);
}

}  // namespace temper::cuda::attention_hopper
