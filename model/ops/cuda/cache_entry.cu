#include "model/ops/cuda/cache_entry.h"

#include "model/ops/cuda/following.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

constexpr int kMlaThreads = 256, kGqaThreads = 64;  // a block takes a token

template <class T>
__device__ T* entry_of(const Rows<T>& cache, const int32_t* slots) {
  const int32_t slot = slots[blockIdx.x];
  if (slot < 0 || slot >= cache.rows) __trap();  // outside the cache
  return cache.row(slot);
}

template <class T>
__device__ void rotate(T* first_to, T* second_to, T first, T second, float c, float s) {
  const float a = to_float(first), b = to_float(second);
  *first_to = from_float<T>(a * c - b * s);
  *second_to = from_float<T>(a * s + b * c);
}

template <class T>
struct Mla {
  Rows<T> cache, q, q_flat, kv_a;
  const T* norm;
  Rows<float> cos, sin;
  const int32_t* slots;
  int heads, latent, rope;
  float eps;
};

// kCount neighbours move together.
template <class T, int kCount>
__global__ void __launch_bounds__(kMlaThreads) mla_kernel(Mla<T> m) {
  follow();
  const int64_t row = blockIdx.x;
  T* entry = entry_of(m.cache, m.slots);
  const T *from = m.kv_a.row(row), *q_flat = m.q_flat.row(row);
  const float *cos = m.cos.row(row), *sin = m.sin.row(row);
  const int dim = static_cast<int>(m.q.cols), nope = dim - m.rope, pairs = m.rope / 2;
  float squares = 0.0F;
  for (int j = threadIdx.x; j < m.latent / kCount; j += kMlaThreads) {
    const Pack<T, kCount> x = load_pack<kCount>(from + j * kCount);
#pragma unroll
    for (int i = 0; i < kCount; ++i) squares += to_float(x.at[i]) * to_float(x.at[i]);
  }
  // What does not hang on the sum while it is being made.
  const int head_packs = nope / kCount;
  for (int i = threadIdx.x; i < m.heads * head_packs; i += kMlaThreads) {
    const int h = i / head_packs, j = i - h * head_packs;
    pack_at<kCount>(m.q.row(row * m.heads + h), j) =
        load_pack<kCount>(q_flat + h * dim + j * kCount);
  }
  for (int i = threadIdx.x; i < (m.heads + 1) * pairs; i += kMlaThreads) {
    const int h = i / pairs, j = i - h * pairs;
    const T* pair = h < m.heads ? q_flat + h * dim + nope + 2 * j : from + m.latent + 2 * j;
    T* to = h < m.heads ? m.q.row(row * m.heads + h) + nope + 2 * j : entry + m.latent + 2 * j;
    rotate(to, to + 1, pair[0], pair[1], cos[j], sin[j]);
  }
  const float r = 1.0F / sqrtf(block_sum(squares) / static_cast<float>(m.latent) + m.eps);
  for (int j = threadIdx.x; j < m.latent / kCount; j += kMlaThreads) {
    Pack<T, kCount> x = load_pack<kCount>(from + j * kCount);
    const Pack<T, kCount> weight = load_pack<kCount>(m.norm + j * kCount);
#pragma unroll
    for (int i = 0; i < kCount; ++i)
      x.at[i] = from_float<T>(to_float(x.at[i]) * r * to_float(weight.at[i]));
    pack_at<kCount>(entry, j) = x;
  }
}

template <class T>
struct Gqa {
  Rows<T> cache, q, q_flat, k, v;
  Rows<float> cos, sin;
  const int32_t* slots;
};

template <class T, int kCount>
__global__ void __launch_bounds__(kGqaThreads) gqa_kernel(Gqa<T> g) {
  follow();
  const int64_t row = blockIdx.x;
  T* entry = entry_of(g.cache, g.slots);
  const float *cos = g.cos.row(row), *sin = g.sin.row(row);
  const int dim = static_cast<int>(g.q.cols), width = static_cast<int>(g.k.cols);
  const int heads = static_cast<int>(g.q_flat.cols) / dim, all = heads + width / dim;
  const int packs = dim / 2 / kCount;  // of half a head
  for (int i = threadIdx.x; i < all * packs; i += kGqaThreads) {
    const int h = i / packs, j = i - h * packs;
    const T* from = h < heads ? g.q_flat.row(row) + h * dim : g.k.row(row) + (h - heads) * dim;
    T* to = h < heads ? g.q.row(row * heads + h) : entry + (h - heads) * dim;
    Pack<T, kCount> a = load_pack<kCount>(from + j * kCount);
    Pack<T, kCount> b = load_pack<kCount>(from + (j + packs) * kCount);
#pragma unroll
    for (int e = 0; e < kCount; ++e)
      rotate(&a.at[e], &b.at[e], a.at[e], b.at[e], cos[j * kCount + e], sin[j * kCount + e]);
    pack_at<kCount>(to, j) = a;
    pack_at<kCount>(to, j + packs) = b;
  }
  for (int j = threadIdx.x; j < width / kCount; j += kGqaThreads)
    pack_at<kCount>(entry + width, j) = pack_at<kCount>(g.v.row(row), j);
}

}  // namespace

void write_mla_entry(Context& ctx, const MlaEntry& e) {
  if (e.slots.numel() == 0) return;
  dispatch(e.cache.dtype, [&]<class T>() {
    const Mla<T> m{rows_of<T>(e.cache),
                   rows_of<T>(e.q),
                   rows_of<T>(e.q_flat),
                   rows_of<T>(e.kv_a),
                   data_of<T>(e.norm),
                   rows_of<float>(e.cos),
                   rows_of<float>(e.sin),
                   data_of<int32_t>(e.slots),
                   static_cast<int>(e.q.dim(1)),
                   static_cast<int>(e.norm.numel()),
                   2 * static_cast<int>(e.cos.cols()),
                   static_cast<float>(e.eps)};
    constexpr int n = kWide<T>;
    const bool wide = packs(m.cache) && packs(m.q) && packs(m.q_flat) && packs(m.kv_a) &&
                      packs(rows_of<T>(e.norm)) && m.latent % n == 0 && m.rope % n == 0;
    const unsigned blocks = blocks_for(e.slots.numel(), 1);
    launch_following(ctx, wide ? mla_kernel<T, n> : mla_kernel<T, 1>, {blocks, kMlaThreads}, m);
  });
}

void write_gqa_entry(Context& ctx, const GqaEntry& e) {
  if (e.slots.numel() == 0) return;
  dispatch(e.cache.dtype, [&]<class T>() {
    const Gqa<T> g{rows_of<T>(e.cache),   rows_of<T>(e.q),          rows_of<T>(e.q_flat),
                   rows_of<T>(e.k),       rows_of<T>(e.v),          rows_of<float>(e.cos),
                   rows_of<float>(e.sin), data_of<int32_t>(e.slots)};
    constexpr int n = kWide<T>;
    const bool wide = packs(g.cache) && packs(g.q) && packs(g.q_flat) && packs(g.k) && packs(g.v) &&
                      e.q.cols() % (2 * n) == 0;
    const unsigned blocks = blocks_for(e.slots.numel(), 1);
    launch_following(ctx, wide ? gqa_kernel<T, n> : gqa_kernel<T, 1>, {blocks, kGqaThreads}, g);
  });
}

}  // namespace temper::cuda
