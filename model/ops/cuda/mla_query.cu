// write_mla_query of model/ops/cache_entry.h: blocks that multiply a head's queries by a part of
// its W_UK, and blocks whose warps take a token's entry and rotations each.
#include "model/ops/cuda/cache_entry.h"
#include "model/ops/cuda/each_narrow.h"
#include "model/ops/cuda/early.h"
#include "model/ops/cuda/following.h"
#include "model/ops/cuda/mma.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / 32;
constexpr int kNope = 128, kCols = 64, kRows = 64, kPack = 8;  // of a product's tile

struct Query {
  Rows<Narrow> cache, q_latent, q_rope, q_flat, kv_a, w_uk;
  const Narrow* norm;
  Rows<float> cos, sin;
  const int32_t* slots;
  int rows, heads, latent, rope;
  int products;  // blocks of them
  float eps;
};

using Weights = SharedTile<Narrow, kNope, kCols>;
using Queries = SharedTile<Narrow, kRows, kNope>;

__device__ void multiply_tile(const Query& m, Narrow* memory) {
  const Weights weights{memory};
  const Queries queries{memory + Weights::kSize};
  const int tiles = m.latent / kCols, head = static_cast<int>(blockIdx.x) / tiles % m.heads;
  const int col = static_cast<int>(blockIdx.x) % tiles * kCols;
  const int first = static_cast<int>(blockIdx.x) / (tiles * m.heads) * kRows;
  const Narrow* from = m.w_uk.row(head) + col;
  for (int i = threadIdx.x; i < kNope * (kCols / kPack); i += kThreads) {
    const int r = i / (kCols / kPack), c = i % (kCols / kPack) * kPack;
    copy_later(weights.data + r * Weights::kPitch + c, from + int64_t{r} * m.latent + c, true);
  }
  follow();
  for (int i = threadIdx.x; i < kRows * (kNope / kPack); i += kThreads) {
    const int r = i / (kNope / kPack), c = i % (kNope / kPack) * kPack;
    const int row = min(first + r, m.rows - 1);
    copy_later(queries.data + r * Queries::kPitch + c,
               m.q_flat.row(row) + head * (kNope + m.rope) + c, first + r < m.rows);
  }
  end_copy_group();
  wait_copies<0>();
  __syncthreads();
  const int own = threadIdx.x / 32 * 16, lane = threadIdx.x % 32;
  FragmentC sum[kCols / 8] = {};
#pragma unroll
  for (int k = 0; k < kNope; k += 16) {
    const FragmentA a = queries.left(own, k);
#pragma unroll
    for (int n = 0; n < kCols / 16; ++n)
      multiply<Narrow>(sum[2 * n], sum[2 * n + 1], a, weights.right(k, 16 * n));
  }
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int row = first + own + lane / 4 + 8 * h;
    if (row >= m.rows) continue;
    Narrow* to = m.q_latent.row(int64_t{row} * m.heads + head) + col + lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < kCols / 8; ++n)
      *reinterpret_cast<unsigned*>(to + 8 * n) =
          pack_pair<Narrow>(sum[n][2 * h], sum[n][2 * h + 1]);
  }
}

__device__ inline void rotate(Narrow* to, const Narrow* from, float c, float s) {
  const float a = to_float(from[0]), b = to_float(from[1]);
  *reinterpret_cast<unsigned*>(to) = pack_pair<Narrow>(a * c - b * s, a * s + b * c);
}

__device__ void write_token(const Query& m, int64_t row) {
  const int lane = threadIdx.x % 32;
  const int32_t slot = m.slots[row];
  if (slot < 0 || slot >= m.cache.rows) __trap();  // outside the cache
  Narrow* entry = m.cache.row(slot);
  const Narrow *from = m.kv_a.row(row), *q_flat = m.q_flat.row(row);
  float squares = 0.0F;
#pragma unroll 2
  for (int j = lane * kPack; j < m.latent; j += 32 * kPack) {
    const auto x = load_pack<kPack>(from + j);
#pragma unroll
    for (int i = 0; i < kPack; ++i) squares += to_float(x.at[i]) * to_float(x.at[i]);
  }
  // What does not hang on the sum while it is being made.
  for (int j = lane; j < m.rope / 2; j += 32) {
    const float c = m.cos.row(row)[j], s = m.sin.row(row)[j];
    rotate(entry + m.latent + 2 * j, from + m.latent + 2 * j, c, s);
#pragma unroll 4
    for (int h = 0; h < m.heads; ++h)
      rotate(m.q_rope.row(row * m.heads + h) + 2 * j, q_flat + h * (kNope + m.rope) + kNope + 2 * j,
             c, s);
  }
  const float r = 1.0F / sqrtf(warp_sum(squares) / static_cast<float>(m.latent) + m.eps);
#pragma unroll 2
  for (int j = lane * kPack; j < m.latent; j += 32 * kPack) {
    auto x = load_pack<kPack>(from + j);
    const auto g = load_pack<kPack>(m.norm + j);
#pragma unroll
    for (int i = 0; i < kPack; ++i)
      x.at[i] = from_float<Narrow>(to_float(x.at[i]) * r * to_float(g.at[i]));
    store_pack<kPack>(entry + j, x);
  }
}

__global__ void __launch_bounds__(kThreads) mla_query(Query m) {
  __shared__ __align__(16) Narrow memory[Weights::kSize + Queries::kSize];
  if (static_cast<int>(blockIdx.x) < m.products) return multiply_tile(m, memory);
  follow();
  const int64_t row =
      int64_t{static_cast<int>(blockIdx.x) - m.products} * kWarps + threadIdx.x / 32;
  if (row < m.rows) write_token(m, row);
}

}  // namespace

template <>
bool write_mla_query_of<kNarrow>(Context& ctx, const MlaQuery& query) {
  const MlaEntry& e = query.entry;
  const int64_t heads = query.q_latent.dim(1), latent = query.q_latent.cols();
  const int64_t rope = query.q_rope.cols(), rows = e.slots.numel();
  if (rows == 0 || e.cache.dtype != kNarrow || latent % kCols != 0 || rope % 2 != 0 ||
      query.w_uk.cols() != kNope * latent)
    return false;
  const int64_t products = heads * (latent / kCols) * blocks_for(rows, kRows);
  const Query m{
      rows_of<Narrow>(e.cache),  rows_of<Narrow>(query.q_latent), rows_of<Narrow>(query.q_rope),
      rows_of<Narrow>(e.q_flat), rows_of<Narrow>(e.kv_a),         rows_of<Narrow>(query.w_uk),
      data_of<Narrow>(e.norm),   rows_of<float>(e.cos),           rows_of<float>(e.sin),
      data_of<int32_t>(e.slots), static_cast<int>(rows),          static_cast<int>(heads),
      static_cast<int>(latent),  static_cast<int>(rope),          static_cast<int>(products),
      static_cast<float>(e.eps)};
  const bool aligned = packs(m.cache) && packs(m.q_latent) && packs(m.q_rope) && packs(m.q_flat) &&
                       packs(m.kv_a) && packs(m.w_uk) && packs(rows_of<Narrow>(e.norm)) &&
                       rope % kPack == 0;
  if (!aligned) return false;
  const auto blocks = static_cast<unsigned>(products) + blocks_for(rows, kWarps);
  share_multiprocessor(mla_query);
  launch_following(ctx, mla_query, {.grid = blocks, .threads = kThreads, .reads_ahead = true}, m);
  return true;
}

}  // namespace temper::cuda
