// Causal attention backward in 16 bits on tensor cores. Two kernels instead of atomics, so that
// sums have one order: blocks that own keys take dk and dv from the queries that see them, blocks
// that own queries take dq. P and dS are recomputed in either and never leave registers; rows of
// the other side come in tiles of 32, the next arriving while this one is computed.
#include "model/ops/cuda/attention_tiles.h"
#include "model/ops/cuda/each_narrow.h"

namespace temper::cuda {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kOwned = 16 * kWarps, kPassing = 32;  // rows of a block, and of a passing tile
constexpr int kStages = 2;
constexpr float kLog2E = 1.4426950408889634F;

struct Arguments {
  HeadRows<Narrow> dq, dk, dv, d_o, q, k, v;
  const float* lse;
  int64_t lse_stride;
  const float* delta;
  SequenceTable sequences;
  float scale;
};

// Shared memory: the rows that the block owns and the stages of those that pass, each [.., kQk]
// (q or k) and [.., kV] (do or v); then lse and delta of the stages' rows.
template <int kQk, int kV>
struct Tiles {
  using OwnQk = SharedTile<Narrow, kOwned, kQk>;
  using OwnV = SharedTile<Narrow, kOwned, kV>;
  using Qk = SharedTile<Narrow, kPassing, kQk>;
  using V = SharedTile<Narrow, kPassing, kV>;
  static constexpr size_t kBytes =
      sizeof(Narrow) * (OwnQk::kSize + OwnV::kSize + kStages * (Qk::kSize + V::kSize)) +
      sizeof(float) * 2 * kStages * kPassing;
  Narrow* memory;

  __device__ OwnQk own_qk() const { return {memory}; }
  __device__ OwnV own_v() const { return {memory + OwnQk::kSize}; }
  __device__ Qk qk(int stage) const {
    return {memory + OwnQk::kSize + OwnV::kSize + stage * (Qk::kSize + V::kSize)};
  }
  __device__ V v(int stage) const { return {qk(stage).data + Qk::kSize}; }
  __device__ float* lse(int stage) const {
    return reinterpret_cast<float*>(qk(kStages).data) + stage * 2 * kPassing;
  }
  __device__ float* delta(int stage) const { return lse(stage) + kPassing; }
};

// ---- dk and dv. Everything is transposed: rows are keys, columns are queries.

// The tiles of queries that a block of keys goes through: those of each head of its group in turn.
struct QueryTiles {
  int64_t kv, group;
  int first, each;  // the first tile that sees a key, and the tiles of a head

  __device__ QueryTiles(const Arguments& a, const TilePlace& place)
      : kv(blockIdx.x),
        group(a.q.heads / a.k.heads),
        first(place.begin / kPassing),
        each((place.length + kPassing - 1) / kPassing - first) {}
  __device__ int count() const { return static_cast<int>(group) * each; }
  __device__ int64_t head(int i) const { return kv * group + i / each; }
  __device__ int begin(int i) const { return (first + i % each) * kPassing; }
};

template <int kQk, int kV>
__device__ void fetch_queries(const Arguments& a, const Tiles<kQk, kV>& tiles,
                              const TilePlace& place, const QueryTiles& queries, int i) {
  const int begin = queries.begin(i), rows = place.length - begin, stage = i % kStages;
  const int64_t head = queries.head(i), token = place.first + begin;
  fill_tile<kThreads>(tiles.qk(stage), a.q, token, head, rows);
  fill_tile<kThreads>(tiles.v(stage), a.d_o, token, head, rows);
  const int r = threadIdx.x;
  if (r >= kPassing) return;
  // Rows beyond the sequence are zeros everywhere, and so add nothing.
  const bool valid = r < rows;
  const int64_t row = valid ? token + r : token;
  copy_later(tiles.lse(stage) + r, a.lse + row * a.lse_stride + head, valid);
  copy_later(tiles.delta(stage) + r, a.delta + row * a.q.heads + head, valid);
}

// Scores [16 keys, 32 queries] become P.
__device__ void weights_of(FragmentC (&scores)[kPassing / 8], const float* lse, float scale,
                           int key, int query) {
  const int g = threadIdx.x % 32 / 4, at = threadIdx.x % 4 * 2;
  const bool hidden_some = key + 15 > query;
#pragma unroll
  for (int n = 0; n < kPassing / 8; ++n)
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int u = 8 * n + at + e % 2;
      const float p = exp2_fast(scale * kLog2E * scores[n][e] - kLog2E * lse[u]);
      scores[n][e] = hidden_some && key + g + e / 2 * 8 > query + u ? 0.0F : p;
    }
}

template <int kQk, int kV, bool kWantDk, bool kWantDv>
__global__ void __launch_bounds__(kThreads) backward_keys(Arguments a) {
  extern __shared__ __align__(16) Narrow memory[];
  const Tiles<kQk, kV> tiles{memory};
  const TilePlace place = place_tile(a.sequences, kOwned, blockIdx.y);
  const QueryTiles queries(a, place);
  const int rows = min(kOwned, place.length - place.begin), warp_row = threadIdx.x / 32 * 16;
  fill_tile<kThreads>(tiles.own_qk(), a.k, place.first + place.begin, queries.kv, rows);
  if (kWantDk) fill_tile<kThreads>(tiles.own_v(), a.v, place.first + place.begin, queries.kv, rows);
  fetch_queries(a, tiles, place, queries, 0);
  end_copy_group();

  FragmentC dk[kWantDk ? kQk / 8 : 1] = {}, dv[kWantDv ? kV / 8 : 1] = {};
  for (int i = 0; i < queries.count(); ++i) {
    if (i + 1 < queries.count()) fetch_queries(a, tiles, place, queries, i + 1);
    end_copy_group();
    wait_copies<1>();
    __syncthreads();
    const int stage = i % kStages;
    FragmentC p[kPassing / 8] = {};
    multiply_rows(p, tiles.own_qk(), warp_row, tiles.qk(stage));
    weights_of(p, tiles.lse(stage), a.scale, place.begin + warp_row, queries.begin(i));
    if constexpr (kWantDv) multiply_weights(dv, p, tiles.v(stage));
    if constexpr (kWantDk) {
      FragmentC ds[kPassing / 8] = {};
      multiply_rows(ds, tiles.own_v(), warp_row, tiles.v(stage));
      const float* delta = tiles.delta(stage) + threadIdx.x % 4 * 2;
#pragma unroll
      for (int n = 0; n < kPassing / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) ds[n][e] = p[n][e] * (ds[n][e] - delta[8 * n + e % 2]);
      multiply_weights(dk, ds, tiles.qk(stage));
    }
    __syncthreads();  // the stage may be filled again
  }
  const int64_t token = place.first + place.begin + warp_row;
  const auto add = [&](const HeadRows<Narrow>& to, float2 pair, int row, int j) {
    if (warp_row + row < rows) put_pair<true>(to, to.at(token + row, queries.kv), j, pair);
  };
  if constexpr (kWantDk)
    for_pairs<kQk>(dk, a.k.dim, [&](float2 pair, int row, int j) {
      add(a.dk, make_float2(a.scale * pair.x, a.scale * pair.y), row, j);
    });
  if constexpr (kWantDv)
    for_pairs<kV>(dv, a.v.dim, [&](float2 pair, int row, int j) { add(a.dv, pair, row, j); });
}

// ---- dq: rows are queries, columns are keys.

template <int kQk, int kV>
__device__ void fetch_keys(const Arguments& a, const Tiles<kQk, kV>& tiles, const TilePlace& place,
                           int64_t kv, int i) {
  const int begin = i * kPassing, rows = place.length - begin, stage = i % kStages;
  fill_tile<kThreads>(tiles.qk(stage), a.k, place.first + begin, kv, rows);
  fill_tile<kThreads>(tiles.v(stage), a.v, place.first + begin, kv, rows);
}

// lse and delta of a thread's two rows; 0 beyond the sequence, where q and do are 0 too.
struct QueryRows {
  float lse[2] = {}, delta[2] = {};

  __device__ QueryRows(const Arguments& a, int64_t token, int64_t head, int rows) {
    const int g = threadIdx.x % 32 / 4;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      if (g + 8 * i >= rows) continue;
      lse[i] = kLog2E * a.lse[(token + g + 8 * i) * a.lse_stride + head];
      delta[i] = a.delta[(token + g + 8 * i) * a.q.heads + head];
    }
  }
  // dP [16 queries, 32 keys] becomes dS, from the scores.
  __device__ void gradient(FragmentC (&dp)[kPassing / 8], FragmentC (&scores)[kPassing / 8],
                           float scale, int query, int key) const {
    const int g = threadIdx.x % 32 / 4, at = threadIdx.x % 4 * 2;
    const bool hidden_some = key + kPassing - 1 > query;
#pragma unroll
    for (int n = 0; n < kPassing / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const float p = exp2_fast(scale * kLog2E * scores[n][e] - lse[e / 2]);
        const bool hidden = hidden_some && key + 8 * n + at + e % 2 > query + g + e / 2 * 8;
        dp[n][e] = hidden ? 0.0F : p * (dp[n][e] - delta[e / 2]);
      }
  }
};

template <int kQk, int kV>
__global__ void __launch_bounds__(kThreads) backward_queries(Arguments a) {
  extern __shared__ __align__(16) Narrow memory[];
  const Tiles<kQk, kV> tiles{memory};
  const TilePlace place = place_tile(a.sequences, kOwned, gridDim.y - 1 - blockIdx.y);
  const int64_t head = blockIdx.x, kv = head / (a.q.heads / a.k.heads);
  const int rows = min(kOwned, place.length - place.begin), warp_row = threadIdx.x / 32 * 16;
  const int count = (place.begin + rows + kPassing - 1) / kPassing;
  const int64_t token = place.first + place.begin;
  fill_tile<kThreads>(tiles.own_qk(), a.q, token, head, rows);
  fill_tile<kThreads>(tiles.own_v(), a.d_o, token, head, rows);
  fetch_keys(a, tiles, place, kv, 0);
  end_copy_group();
  const QueryRows own(a, token + warp_row, head, rows - warp_row);

  FragmentC dq[kQk / 8] = {};
  for (int i = 0; i < count; ++i) {
    if (i + 1 < count) fetch_keys(a, tiles, place, kv, i + 1);
    end_copy_group();
    wait_copies<1>();
    __syncthreads();
    const int stage = i % kStages;
    FragmentC scores[kPassing / 8] = {}, ds[kPassing / 8] = {};
    multiply_rows(scores, tiles.own_qk(), warp_row, tiles.qk(stage));
    multiply_rows(ds, tiles.own_v(), warp_row, tiles.v(stage));
    own.gradient(ds, scores, a.scale, place.begin + warp_row, i * kPassing);
    multiply_weights(dq, ds, tiles.qk(stage));
    __syncthreads();  // the stage may be filled again
  }
  for_pairs<kQk>(dq, a.q.dim, [&](float2 pair, int row, int j) {
    if (warp_row + row < rows)
      put_pair<true>(a.dq, a.dq.at(token + warp_row + row, head), j,
                     make_float2(a.scale * pair.x, a.scale * pair.y));
  });
}

template <class Kernel>
void launch(Context& ctx, Kernel* kernel, const Arguments& a, int64_t heads, unsigned tiles,
            size_t shared) {
  allow_shared(kernel, shared);
  kernel<<<dim3(static_cast<unsigned>(heads), tiles), kThreads, shared, stream_of(ctx)>>>(a);
  check_launch();
}

}  // namespace

void launch_backward(Context& ctx, const AttentionBackward<Narrow>& args,
                     const Sequences& sequences) {
  const Arguments a{HeadRows(args.dq), HeadRows(args.dk), HeadRows(args.dv), HeadRows(args.d_o),
                    HeadRows(args.q),  HeadRows(args.k),  HeadRows(args.v),  args.lse,
                    args.lse_stride,   args.delta,        args.sequences,    args.scale};
  const unsigned tiles = tiles_of(sequences, kOwned);
  dispatch_head_dims(a.q.dim, a.v.dim, [&]<int kQk, int kV>() {
    constexpr size_t kBytes = Tiles<kQk, kV>::kBytes;
    if constexpr (kQk + kV <= 320) {
      launch(ctx, backward_keys<kQk, kV, true, true>, a, a.k.heads, tiles, kBytes);
    } else {  // both sums do not fit into the registers
      launch(ctx, backward_keys<kQk, kV, true, false>, a, a.k.heads, tiles, kBytes);
      launch(ctx, backward_keys<kQk, kV, false, true>, a, a.k.heads, tiles, kBytes);
    }
    launch(ctx, backward_queries<kQk, kV>, a, a.q.heads, tiles, kBytes);
  });
}

}  // namespace temper::cuda
