#include "model/ops/cuda/decode_attention.h"

#include "model/ops/cuda/gqa_decode_mma.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/mla_decode_hopper.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / 32;
constexpr int kTile = 64;      // cached tokens whose scores are held at a time
constexpr int kColumns = 4;    // of the value, a thread
constexpr int kMostHeads = 8;  // that one block takes

// The cached tokens that one row sees. All numbers of a row depend on that row alone, so what it
// is batched with changes no bit.
template <class T>
struct Past {
  const T* cache;
  const int32_t* blocks;
  int64_t block_size, stride, length;

  // Where token u's entry begins in the cache.
  __device__ int64_t at(int64_t u) const {
    return (blocks[u / block_size] * block_size + u % block_size) * stride;
  }
};

struct Table {
  Rows<int32_t> blocks;
  const int32_t *sequence, *length;

  explicit Table(const PagedRows& rows)
      : blocks(rows_of<int32_t>(rows.block_table)),
        sequence(data_of<int32_t>(rows.row_sequence)),
        length(data_of<int32_t>(rows.context_length)) {}
};

template <class T>
struct Cache {
  const T* data;
  int64_t block_size, stride;

  explicit Cache(const Tensor& t)
      : data(data_of<T>(t)), block_size(t.dim(1)), stride(t.row_stride) {}
  __device__ Past<T> past(const Table& table, int64_t row) const {
    const int64_t length = table.length[row];
    if (length <= 0 || length > table.blocks.cols * block_size) __trap();  // not in the table
    return {data, table.blocks.row(table.sequence[row]), block_size, stride, length};
  }
};

// q.k for kHeads heads that share their keys and values. Where in a cache entry these lie, and the
// query in two parts (MLA: latent and rope; GQA: one part).
template <class T>
struct Decode {
  Rows<T> o, q, q_tail;  // [N * H, ..]; q_tail may be null
  Cache<T> cache;
  Table table;
  int heads;  // of a row
  int share;  // heads that read the same keys and values
  int key_dim, value_dim;
  int value_at;  // keys of sharer i begin at i * key_dim, values at value_at + i * value_dim
  float scale;
};

template <int kHeads>
struct Shared {
  int64_t at[kTile];
  float score[kHeads][kTile];
  float top[kHeads], sum[kHeads], factor[kHeads];
  // then the queries [kHeads, key_dim]
};

// score[h, u] = q_h . k_u for the tile's tokens, a warp a token.
template <class T, int kHeads>
__device__ void score_tile(const T* keys, int tokens, const float* queries, int key_dim,
                           Shared<kHeads>& shared) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int u = warp; u < tokens; u += kWarps) {
    const T* key = keys + shared.at[u];
    float dot[kHeads] = {};
#pragma unroll 4
    for (int j = lane; j < key_dim; j += 32) {
      const float k = to_float(key[j]);
#pragma unroll
      for (int h = 0; h < kHeads; ++h) dot[h] += k * queries[h * key_dim + j];
    }
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      dot[h] = warp_sum(dot[h]);
      if (lane == 0) shared.score[h][u] = dot[h];
    }
  }
}

// Scores become exp(scale * (score - top)); `factor` is what earlier sums are worth under the new
// top. A warp a head.
template <int kHeads>
__device__ void softmax_tile(Shared<kHeads>& shared, int tokens, float scale) {
  const int lane = threadIdx.x % 32;
  for (int h = threadIdx.x / 32; h < kHeads; h += kWarps) {
    float top = shared.top[h], sum = 0.0F;
    const float before = top;
    for (int u = lane; u < tokens; u += 32) top = fmaxf(top, shared.score[h][u]);
    top = warp_max(top);
    for (int u = lane; u < tokens; u += 32)
      sum += shared.score[h][u] = expf(scale * (shared.score[h][u] - top));
    sum = warp_sum(sum);
    __syncwarp();  // all have read the top that one thread now replaces
    if (lane > 0) continue;
    const float factor = expf(scale * (before - top));
    shared.top[h] = top;
    shared.sum[h] = shared.sum[h] * factor + sum;
    shared.factor[h] = factor;
  }
}

// out[h, :] = factor_h out[h, :] + sum_u score[h, u] v_u, each thread its columns.
template <class T, int kHeads>
__device__ void weigh_tile(const T* values, int tokens, int value_dim, const Shared<kHeads>& shared,
                           float (&out)[kHeads][kColumns]) {
#pragma unroll
  for (int h = 0; h < kHeads; ++h)
#pragma unroll
    for (int c = 0; c < kColumns; ++c) out[h][c] *= shared.factor[h];
#pragma unroll 4
  for (int u = 0; u < tokens; ++u) {
    const T* value = values + shared.at[u];
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const int j = threadIdx.x + c * kThreads;
      const float v = j < value_dim ? to_float(value[j]) : 0.0F;
#pragma unroll
      for (int h = 0; h < kHeads; ++h) out[h][c] += shared.score[h][u] * v;
    }
  }
}

// A block takes up to kHeads heads of a row that share their keys and values; beyond `count` heads
// q is 0.
template <class T, int kHeads>
__global__ void __launch_bounds__(kThreads) decode(Decode<T> d) {
  extern __shared__ __align__(16) char memory[];
  Shared<kHeads>& shared = *reinterpret_cast<Shared<kHeads>*>(memory);
  float* queries = reinterpret_cast<float*>(&shared + 1);
  const int64_t row = blockIdx.x;
  const int groups = (d.share + kHeads - 1) / kHeads, sharer = blockIdx.y / groups;
  const int in_share = blockIdx.y % groups * kHeads, count = min(kHeads, d.share - in_share);
  const int64_t first_head = row * d.heads + sharer * d.share + in_share;
  const Past<T> past = d.cache.past(d.table, row);
  for (int i = threadIdx.x; i < kHeads * d.key_dim; i += kThreads) {
    const int h = i / d.key_dim, j = i % d.key_dim, own = static_cast<int>(d.q.cols);
    queries[i] = h >= count ? 0.0F
                 : j < own  ? to_float(d.q.row(first_head + h)[j])
                            : to_float(d.q_tail.row(first_head + h)[j - own]);
  }
  if (threadIdx.x < kHeads) shared.top[threadIdx.x] = -INFINITY, shared.sum[threadIdx.x] = 0.0F;
  __syncthreads();

  float out[kHeads][kColumns] = {};
  const T* keys = past.cache + sharer * d.key_dim;
  const T* values = past.cache + d.value_at + sharer * d.value_dim;
  for (int64_t first = 0; first < past.length; first += kTile) {
    const int64_t left = past.length - first;
    const int tokens = left < kTile ? static_cast<int>(left) : kTile;
    if (threadIdx.x < tokens) shared.at[threadIdx.x] = past.at(first + threadIdx.x);
    __syncthreads();
    score_tile<T, kHeads>(keys, tokens, queries, d.key_dim, shared);
    __syncthreads();
    softmax_tile<kHeads>(shared, tokens, d.scale);
    __syncthreads();
    weigh_tile<T, kHeads>(values, tokens, d.value_dim, shared, out);
    __syncthreads();  // scores are overwritten next
  }
#pragma unroll
  for (int h = 0; h < kHeads; ++h)
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const int j = threadIdx.x + c * kThreads;
      if (h < count && j < d.value_dim)
        d.o.row(first_head + h)[j] = from_float<T>(out[h][c] / shared.sum[h]);
    }
}

template <class T, int kHeads>
void launch(Context& ctx, const Decode<T>& d) {
  const size_t shared =
      sizeof(Shared<kHeads>) + sizeof(float) * kHeads * static_cast<size_t>(d.key_dim);
  require(shared <= size_t{48} << 10 && d.value_dim <= kColumns * kThreads,
          "decode: a head too wide for the GPU's kernel");
  const unsigned groups = blocks_for(d.share, kHeads) * static_cast<unsigned>(d.heads / d.share);
  const dim3 grid(static_cast<unsigned>(d.o.rows / d.heads), groups);
  decode<T, kHeads><<<grid, kThreads, shared, stream_of(ctx)>>>(d);
  check_launch();
}

template <class T>
void launch(Context& ctx, const Decode<T>& d) {
  if (d.share == 1) return launch<T, 1>(ctx, d);
  if (d.share <= 4) return launch<T, 4>(ctx, d);
  launch<T, kMostHeads>(ctx, d);
}

template <class T, int kCount>
__global__ void write_rows(Rows<T> cache, Rows<T> values, const int32_t* slots) {
  const int32_t slot = slots[blockIdx.x];
  if (slot < 0 || slot >= cache.rows) __trap();  // outside the cache
  T *to = cache.row(slot), *from = values.row(blockIdx.x);
  for (int64_t i = threadIdx.x; i < values.cols / kCount; i += blockDim.x)
    pack_at<kCount>(to, i) = pack_at<kCount>(from, i);
}

}  // namespace

void cache_write(Context& ctx, Tensor cache, Tensor values, Tensor slots) {
  if (values.rows() == 0) return;
  dispatch(cache.dtype, [&]<class T>() {
    const Rows<T> to = rows_of<T>(cache), from = rows_of<T>(values);
    dispatch_pack<T>({to, from}, [&]<int kCount>() {
      write_rows<T, kCount><<<blocks_for(from.rows, 1), kThreads, 0, stream_of(ctx)>>>(
          to, from, data_of<int32_t>(slots));
      check_launch();
    });
  });
}

void mla_decode_attention(Context& ctx, Tensor o_latent, Tensor q_latent, Tensor q_rope,
                          Tensor cache, const PagedRows& rows, double scale) {
  if (q_latent.rows() == 0) return;
  if (mla_decode_hopper(ctx, o_latent, q_latent, q_rope, cache, rows, scale)) return;
  const int heads = static_cast<int>(q_latent.dim(1)), latent = static_cast<int>(q_latent.cols());
  const int width = static_cast<int>(cache.cols());
  dispatch(o_latent.dtype, [&]<class T>() {
    launch<T>(ctx, Decode<T>{.o = rows_of<T>(o_latent),
                             .q = rows_of<T>(q_latent),
                             .q_tail = rows_of<T>(q_rope),
                             .cache = Cache<T>(cache),
                             .table = Table(rows),
                             .heads = heads,
                             .share = heads,
                             .key_dim = width,
                             .value_dim = latent,
                             .value_at = 0,
                             .scale = static_cast<float>(scale)});
  });
}

void gqa_decode_attention(Context& ctx, Tensor o, Tensor q, Tensor cache, const PagedRows& rows,
                          double scale) {
  if (q.rows() == 0) return;
  if (gqa_decode_mma(ctx, o, q, cache, rows, scale)) return;
  const int heads = static_cast<int>(q.dim(1)), dim = static_cast<int>(q.cols());
  const int kv_heads = static_cast<int>(cache.cols()) / (2 * dim);
  dispatch(o.dtype, [&]<class T>() {
    launch<T>(ctx, Decode<T>{.o = rows_of<T>(o),
                             .q = rows_of<T>(q),
                             .q_tail = {},
                             .cache = Cache<T>(cache),
                             .table = Table(rows),
                             .heads = heads,
                             .share = heads / kv_heads,
                             .key_dim = dim,
                             .value_dim = dim,
                             .value_at = kv_heads * dim,
                             .scale = static_cast<float>(scale)});
  });
}

}  // namespace temper::cuda
