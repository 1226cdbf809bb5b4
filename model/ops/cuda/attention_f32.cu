// Causal attention in f32: FMA over tiles of 32 rows in shared memory. The reference of the
// faster kernels and the path of the f32 goldens.
#include "model/ops/cuda/attention_kernels.h"

namespace temper::cuda {
namespace {

constexpr int kTile = 32, kThreads = 256;
constexpr int kParts = kThreads / kTile;  // threads that share a row of the output
constexpr int kColumns = 256 / kParts;    // columns of such a thread, for the widest head
constexpr int kScorePitch = kTile + 1;

// A tile of rows in shared memory; the pitch is odd, so that a column lies in different banks.
struct Tile {
  float* data;
  int dim, pitch;

  __device__ float* row(int r) const { return data + r * pitch; }
  __device__ float* end() const { return data + kTile * pitch; }
};

__host__ __device__ constexpr int pitch_of(int dim) {
  return dim | 1;
}

__device__ Tile tile_at(float* data, int dim) {
  return {data, dim, pitch_of(dim)};
}

// Rows beyond `rows` become 0.
__device__ void load(const Tile& tile, const Heads<float>& from, int64_t token, int64_t head,
                     int rows) {
  for (int r = threadIdx.x / 32; r < kTile; r += kThreads / 32) {
    const float* row = from.at(token + r, head);
    for (int j = threadIdx.x % 32; j < tile.dim; j += 32) tile.row(r)[j] = r < rows ? row[j] : 0.0F;
  }
}

// What a thread takes of a 32 x 32 product: rows ty + 16 i, columns tx + 16 j.
struct Dots {
  float at[2][2] = {};

  __device__ Dots(const Tile& a, const Tile& b) {
    const int ty = threadIdx.x / 16, tx = threadIdx.x % 16;
    for (int d = 0; d < a.dim; ++d) {
      const float a0 = a.row(ty)[d], a1 = a.row(ty + 16)[d];
      const float b0 = b.row(tx)[d], b1 = b.row(tx + 16)[d];
      at[0][0] += a0 * b0;
      at[0][1] += a0 * b1;
      at[1][0] += a1 * b0;
      at[1][1] += a1 * b1;
    }
  }
};

// Calls body(row, column, i, j) for each of them.
template <class Body>
__device__ void for_dots(Body&& body) {
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int j = 0; j < 2; ++j)
      body(static_cast<int>(threadIdx.x / 16) + 16 * i, static_cast<int>(threadIdx.x % 16) + 16 * j,
           i, j);
}

// A row of the output, shared by kParts neighbouring threads: columns part + kParts i.
struct RowSum {
  float at[kColumns] = {};

  // += sum_u weight[u] rows_u
  __device__ void add(const float* weight, const Tile& rows) {
    const int part = threadIdx.x % kParts;
    for (int u = 0; u < kTile; ++u) {
      const float w = weight[u];
      const float* row = rows.row(u);
#pragma unroll
      for (int i = 0; i < kColumns; ++i)
        if (part + kParts * i < rows.dim) at[i] += w * row[part + kParts * i];
    }
  }
  __device__ void scale(float factor) {
#pragma unroll
    for (int i = 0; i < kColumns; ++i) at[i] *= factor;
  }
  template <class Body>
  __device__ void for_columns(int dim, Body&& body) const {
#pragma unroll
    for (int i = 0; i < kColumns; ++i) {
      const int j = static_cast<int>(threadIdx.x) % kParts + kParts * i;
      if (j < dim) body(j, at[i]);
    }
  }
};

// Over the kParts threads of a row.
__device__ float row_max(float x) {
  for (int offset = kParts / 2; offset > 0; offset /= 2)
    x = fmaxf(x, __shfl_xor_sync(0xffffffffU, x, offset));
  return x;
}
__device__ float row_sum(float x) {
  for (int offset = kParts / 2; offset > 0; offset /= 2)
    x += __shfl_xor_sync(0xffffffffU, x, offset);
  return x;
}

__global__ void __launch_bounds__(kThreads) forward(AttentionForward<float> a) {
  extern __shared__ float memory[];
  const Tile q = tile_at(memory, a.q.dim), k = tile_at(q.end(), a.k.dim);
  const Tile v = tile_at(k.end(), a.v.dim);
  float* scores = v.end();
  // The longest tiles of queries begin first.
  const TilePlace place = place_tile(a.sequences, kTile, gridDim.y - 1 - blockIdx.y);
  const int64_t head = blockIdx.x, kv = head / (a.q.heads / a.k.heads);
  const int rows = min(kTile, place.length - place.begin), r = threadIdx.x / kParts;
  load(q, a.q, place.first + place.begin, head, rows);
  RowSum out;
  float top = -INFINITY, sum = 0.0F;
  float* own = scores + r * kScorePitch;
  const int own_key = place.past + place.begin;  // of the tile's first row
  for (int begin = 0; begin < own_key + rows; begin += kTile) {
    const int count = min(kTile, place.past + place.length - begin);
    __syncthreads();
    load(k, a.k, place.first_key + begin, kv, count);
    load(v, a.v, place.first_key + begin, kv, count);
    __syncthreads();
    const Dots dots(q, k);
    for_dots([&](int row, int u, int i, int j) {
      const bool seen = begin + u <= own_key + row && u < count;
      scores[row * kScorePitch + u] = seen ? dots.at[i][j] : -INFINITY;
    });
    __syncthreads();
    float highest = top, added = 0.0F;
    for (int u = threadIdx.x % kParts; u < kTile; u += kParts) highest = fmaxf(highest, own[u]);
    highest = row_max(highest);
    for (int u = threadIdx.x % kParts; u < kTile; u += kParts)
      added += own[u] = expf(a.scale * (own[u] - highest));
    const float factor = expf(a.scale * (top - highest));
    sum = sum * factor + row_sum(added);
    top = highest;
    __syncwarp();  // a row's threads are in one warp
    out.scale(factor);
    out.add(own, v);
  }
  if (r >= rows) return;
  const int64_t token = place.first + place.begin + r;
  float* to = a.o.at(token, head);
  out.for_columns(a.v.dim, [&](int j, float x) { to[j] = x / sum; });
  if (a.lse != nullptr && threadIdx.x % kParts == 0)
    a.lse[token * a.lse_stride + head] = a.scale * top + logf(sum);
}

// P and dS of one pair of query and key; 0 where the key is not seen.
struct Gradient {
  float p = 0.0F, ds = 0.0F;
};
__device__ Gradient gradient(const AttentionBackward<float>& a, const TilePlace& place,
                             int64_t head, int query, int key, float score, float dp) {
  if (query >= place.length || key > query) return {};
  const int64_t token = place.first + query;
  const float p = expf(a.scale * score - a.lse[token * a.lse_stride + head]);
  return {p, p * (dp - a.delta[token * a.q.heads + head]) * a.scale};
}

// A block owns a tile of keys of one kv head, and goes through the queries that see them.
__global__ void __launch_bounds__(kThreads) backward_keys(AttentionBackward<float> a) {
  extern __shared__ float memory[];
  const Tile q = tile_at(memory, a.q.dim), k = tile_at(q.end(), a.k.dim);
  const Tile v = tile_at(k.end(), a.v.dim), grad = tile_at(v.end(), a.v.dim);
  float *p = grad.end(), *ds = p + kTile * kScorePitch;
  const TilePlace place = place_tile(a.sequences, kTile, blockIdx.y);
  const int64_t kv = blockIdx.x, group = a.q.heads / a.k.heads;
  const int rows = min(kTile, place.length - place.begin), r = threadIdx.x / kParts;
  load(k, a.k, place.first + place.begin, kv, rows);
  load(v, a.v, place.first + place.begin, kv, rows);
  RowSum dk, dv;
  for (int64_t head = kv * group; head < (kv + 1) * group; ++head) {
    for (int begin = place.begin; begin < place.length; begin += kTile) {
      const int count = min(kTile, place.length - begin);
      __syncthreads();
      load(q, a.q, place.first + begin, head, count);
      load(grad, a.d_o, place.first + begin, head, count);
      __syncthreads();
      const Dots scores(k, q), dps(v, grad);
      for_dots([&](int key, int query, int i, int j) {
        const Gradient g = gradient(a, place, head, begin + query, place.begin + key,
                                    scores.at[i][j], dps.at[i][j]);
        p[key * kScorePitch + query] = g.p;
        ds[key * kScorePitch + query] = g.ds;
      });
      __syncthreads();
      dk.add(ds + r * kScorePitch, q);
      dv.add(p + r * kScorePitch, grad);
    }
  }
  if (r >= rows) return;
  float* to_k = a.dk.at(place.first + place.begin + r, kv);
  float* to_v = a.dv.at(place.first + place.begin + r, kv);
  dk.for_columns(a.k.dim, [&](int j, float x) { to_k[j] += x; });
  dv.for_columns(a.v.dim, [&](int j, float x) { to_v[j] += x; });
}

// A block owns a tile of queries of one head, and goes through the keys that they see.
__global__ void __launch_bounds__(kThreads) backward_queries(AttentionBackward<float> a) {
  extern __shared__ float memory[];
  const Tile q = tile_at(memory, a.q.dim), k = tile_at(q.end(), a.k.dim);
  const Tile v = tile_at(k.end(), a.v.dim), grad = tile_at(v.end(), a.v.dim);
  float* ds = grad.end();
  const TilePlace place = place_tile(a.sequences, kTile, gridDim.y - 1 - blockIdx.y);
  const int64_t head = blockIdx.x, kv = head / (a.q.heads / a.k.heads);
  const int rows = min(kTile, place.length - place.begin), r = threadIdx.x / kParts;
  load(q, a.q, place.first + place.begin, head, rows);
  load(grad, a.d_o, place.first + place.begin, head, rows);
  RowSum dq;
  for (int begin = 0; begin <= place.begin; begin += kTile) {
    const int count = min(kTile, place.length - begin);
    __syncthreads();
    load(k, a.k, place.first + begin, kv, count);
    load(v, a.v, place.first + begin, kv, count);
    __syncthreads();
    const Dots scores(q, k), dps(grad, v);
    for_dots([&](int query, int key, int i, int j) {
      ds[query * kScorePitch + key] =
          gradient(a, place, head, place.begin + query, begin + key, scores.at[i][j], dps.at[i][j])
              .ds;
    });
    __syncthreads();
    dq.add(ds + r * kScorePitch, k);
  }
  if (r >= rows) return;
  float* to = a.dq.at(place.first + place.begin + r, head);
  dq.for_columns(a.q.dim, [&](int j, float x) { to[j] += x; });
}

size_t shared_bytes(int tiles_qk, int dim_qk, int tiles_v, int dim_v, int score_tiles) {
  require(dim_qk <= 256 && dim_v <= 256, "attention: a head wider than 256");
  return sizeof(float) * kTile *
         static_cast<size_t>(tiles_qk * pitch_of(dim_qk) + tiles_v * pitch_of(dim_v) +
                             score_tiles * kScorePitch);
}

}  // namespace

void launch_forward(Context& ctx, const AttentionForward<float>& args, const Sequences& sequences) {
  const size_t bytes = shared_bytes(2, args.q.dim, 1, args.v.dim, 1);
  allow_shared(forward, bytes);
  const dim3 grid(static_cast<unsigned>(args.q.heads), tiles_of(sequences, kTile));
  forward<<<grid, kThreads, bytes, stream_of(ctx)>>>(args);
  check_launch();
}

void launch_backward(Context& ctx, const AttentionBackward<float>& args,
                     const Sequences& sequences) {
  const unsigned tiles = tiles_of(sequences, kTile);
  const size_t of_keys = shared_bytes(2, args.q.dim, 2, args.v.dim, 2);
  allow_shared(backward_keys, of_keys);
  backward_keys<<<dim3(static_cast<unsigned>(args.k.heads), tiles), kThreads, of_keys,
                  stream_of(ctx)>>>(args);
  check_launch();
  const size_t of_queries = shared_bytes(2, args.q.dim, 2, args.v.dim, 1);
  allow_shared(backward_queries, of_queries);
  backward_queries<<<dim3(static_cast<unsigned>(args.q.heads), tiles), kThreads, of_queries,
                     stream_of(ctx)>>>(args);
  check_launch();
}

}  // namespace temper::cuda
