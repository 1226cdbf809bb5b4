// Causal attention forward in 16 bits on tensor cores, after FlashAttention-2 (Dao 2023): a block
// holds 64 queries of a head and goes through the keys that they see, a warp owns 16 of them, and
// neither scores nor weights leave registers. The next tile arrives while this one is computed.
#include "model/ops/cuda/attention_tiles.h"
#include "model/ops/cuda/each_narrow.h"

namespace temper::cuda {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kQueries = 16 * kWarps, kKeys = 64;  // rows of a tile

struct Arguments {
  HeadRows<Narrow> o, q, k, v;
  float* lse;
  int64_t lse_stride;
  SequenceTable sequences;
  float scale;
};

template <int kQk, int kV>
struct Tiles {
  SharedTile<Narrow, kQueries, kQk> q;
  SharedTile<Narrow, kKeys, kQk> k;
  SharedTile<Narrow, kKeys, kV> v;

  static constexpr size_t kBytes = sizeof(Narrow) * (SharedTile<Narrow, kQueries, kQk>::kSize +
                                                     SharedTile<Narrow, kKeys, kQk>::kSize +
                                                     SharedTile<Narrow, kKeys, kV>::kSize);
  __device__ explicit Tiles(Narrow* memory) {
    q.data = memory;
    k.data = q.data + q.kSize;
    v.data = k.data + k.kSize;
  }
};

// The running softmax of two rows of queries, g and g + 8 of the warp's 16. A row's columns are
// spread over four lanes; `sum` is of a lane's own.
struct Softmax {
  float top[2] = {-INFINITY, -INFINITY}, sum[2] = {};
  float scale;  // with log2(e)

  // Scores become weights under the new top; factor[i] is what the earlier ones are worth.
  __device__ void take(FragmentC (&scores)[kKeys / 8], float (&factor)[2]) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float highest = top[i];
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n)
        highest = fmaxf(highest, fmaxf(scores[n][2 * i], scores[n][2 * i + 1]));
      highest = fmaxf(highest, __shfl_xor_sync(0xffffffffU, highest, 1));
      highest = fmaxf(highest, __shfl_xor_sync(0xffffffffU, highest, 2));
      factor[i] = exp2_fast(scale * (top[i] - highest));
      top[i] = highest;
      const float offset = scale * highest;
      float added = 0.0F;
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n) {
        scores[n][2 * i] = exp2_fast(scale * scores[n][2 * i] - offset);
        scores[n][2 * i + 1] = exp2_fast(scale * scores[n][2 * i + 1] - offset);
        added += scores[n][2 * i] + scores[n][2 * i + 1];
      }
      sum[i] = sum[i] * factor[i] + added;
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

// Hides the keys after each query: scores [16, keys] of queries query .. + 15, keys key ...
__device__ void hide_later(FragmentC (&scores)[kKeys / 8], int query, int key) {
  const int g = threadIdx.x % 32 / 4, at = threadIdx.x % 4 * 2;
#pragma unroll
  for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
    for (int e = 0; e < 4; ++e)
      if (key + 8 * n + at + e % 2 > query + g + e / 2 * 8) scores[n][e] = -INFINITY;
}

template <int kV>
__device__ void store(const Arguments& a, FragmentC (&out)[kV / 8], const Softmax& softmax,
                      int64_t token, int64_t head, int rows) {
  const int g = threadIdx.x % 32 / 4;
  const float inverse[2] = {1.0F / softmax.sum[0], 1.0F / softmax.sum[1]};
  for_pairs<kV>(out, a.o.dim, [&](float2 pair, int row, int j) {
    if (row >= rows) return;
    const float factor = row == g ? inverse[0] : inverse[1];
    put_pair<false>(a.o, a.o.at(token + row, head), j,
                    make_float2(pair.x * factor, pair.y * factor));
  });
  if (a.lse == nullptr || threadIdx.x % 4 != 0) return;
#pragma unroll
  for (int i = 0; i < 2; ++i)
    if (g + 8 * i < rows)
      a.lse[(token + g + 8 * i) * a.lse_stride + head] =
          a.scale * softmax.top[i] + logf(softmax.sum[i]);
}

template <int kQk, int kV>
__global__ void __launch_bounds__(kThreads) forward(Arguments a) {
  extern __shared__ __align__(16) Narrow memory[];
  const Tiles<kQk, kV> tiles(memory);
  // The longest tiles of queries begin first.
  const TilePlace place = place_tile(a.sequences, kQueries, gridDim.y - 1 - blockIdx.y);
  const int64_t head = blockIdx.x, kv = head / (a.q.heads / a.k.heads);
  const int rows = min(kQueries, place.length - place.begin), warp_row = threadIdx.x / 32 * 16;
  const int own_key = place.past + place.begin;  // of the tile's first row
  const int end = own_key + rows;                // of the keys that are seen
  fill_tile<kThreads>(tiles.q, a.q, place.first + place.begin, head, rows);
  fill_tile<kThreads>(tiles.k, a.k, place.first_key, kv, end);
  end_copy_group();

  FragmentC out[kV / 8] = {};
  Softmax softmax;
  softmax.scale = a.scale * 1.4426950408889634F;
  for (int begin = 0; begin < end; begin += kKeys) {
    wait_copies<0>();
    __syncthreads();  // keys are here, and nobody reads the last values any more
    fill_tile<kThreads>(tiles.v, a.v, place.first_key + begin, kv, end - begin);
    end_copy_group();
    FragmentC scores[kKeys / 8] = {};
    multiply_rows(scores, tiles.q, warp_row, tiles.k);
    wait_copies<0>();
    __syncthreads();  // values are here, and nobody reads these keys any more
    const int next = begin + kKeys;
    if (next < end) fill_tile<kThreads>(tiles.k, a.k, place.first_key + next, kv, end - next);
    end_copy_group();
    if (next > own_key) hide_later(scores, own_key + warp_row, begin);
    float factor[2];
    softmax.take(scores, factor);
#pragma unroll
    for (int n = 0; n < kV / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) out[n][e] *= factor[e / 2];
    multiply_weights(out, scores, tiles.v);
  }
  softmax.finish();
  store<kV>(a, out, softmax, place.first + place.begin + warp_row, head, rows - warp_row);
}

}  // namespace

void launch_forward(Context& ctx, const AttentionForward<Narrow>& args,
                    const Sequences& sequences) {
  if (launch_forward_hopper(ctx, args, sequences)) return;
  const Arguments a{HeadRows(args.o), HeadRows(args.q), HeadRows(args.k), HeadRows(args.v),
                    args.lse,         args.lse_stride,  args.sequences,   args.scale};
  const dim3 grid(static_cast<unsigned>(a.q.heads), tiles_of(sequences, kQueries));
  dispatch_head_dims(a.q.dim, a.v.dim, [&]<int kQk, int kV>() {
    constexpr size_t kBytes = Tiles<kQk, kV>::kBytes;
    allow_shared(forward<kQk, kV>, kBytes);
    forward<kQk, kV><<<grid, kThreads, kBytes, stream_of(ctx)>>>(a);
    check_launch();
  });
}

}  // namespace temper::cuda
