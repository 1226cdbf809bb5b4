#include "model/ops/cuda/cache_entry.h"

#include "model/ops/cuda/kernel.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 128;

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

// A block takes a token.
template <class T>
__global__ void mla_kernel(Mla<T> m) {
  const int64_t row = blockIdx.x;
  T* entry = entry_of(m.cache, m.slots);
  const T *from = m.kv_a.row(row), *q_flat = m.q_flat.row(row);
  const float *cos = m.cos.row(row), *sin = m.sin.row(row);
  const int dim = static_cast<int>(m.q.cols), nope = dim - m.rope, pairs = m.rope / 2;
  // What does not hang on the sum first: queries and the rotated key.
  for (int i = threadIdx.x; i < m.heads * nope; i += kThreads) {
    const int h = i / nope, j = i % nope;
    m.q.row(row * m.heads + h)[j] = q_flat[h * dim + j];
  }
  for (int i = threadIdx.x; i < (m.heads + 1) * pairs; i += kThreads) {
    const int h = i / pairs, j = i % pairs;
    const T* pair = h < m.heads ? q_flat + h * dim + nope + 2 * j : from + m.latent + 2 * j;
    T* to = h < m.heads ? m.q.row(row * m.heads + h) + nope + 2 * j : entry + m.latent + 2 * j;
    rotate(to, to + 1, pair[0], pair[1], cos[j], sin[j]);
  }
  float squares = 0.0F;
  for (int j = threadIdx.x; j < m.latent; j += kThreads)
    squares += to_float(from[j]) * to_float(from[j]);
  const float r = 1.0F / sqrtf(block_sum(squares) / static_cast<float>(m.latent) + m.eps);
  for (int j = threadIdx.x; j < m.latent; j += kThreads)
    entry[j] = from_float<T>(to_float(from[j]) * r * to_float(m.norm[j]));
}

template <class T>
struct Gqa {
  Rows<T> cache, q, q_flat, k, v;
  Rows<float> cos, sin;
  const int32_t* slots;
};

template <class T>
__global__ void gqa_kernel(Gqa<T> g) {
  const int64_t row = blockIdx.x;
  T* entry = entry_of(g.cache, g.slots);
  const float *cos = g.cos.row(row), *sin = g.sin.row(row);
  const int dim = static_cast<int>(g.q.cols), pairs = dim / 2, width = static_cast<int>(g.k.cols);
  const int heads = static_cast<int>(g.q_flat.cols) / dim, all = heads + width / dim;
  for (int i = threadIdx.x; i < all * pairs; i += kThreads) {
    const int h = i / pairs, j = i % pairs;
    const T* from = h < heads ? g.q_flat.row(row) + h * dim : g.k.row(row) + (h - heads) * dim;
    T* to = h < heads ? g.q.row(row * heads + h) : entry + (h - heads) * dim;
    rotate(to + j, to + j + pairs, from[j], from[j + pairs], cos[j], sin[j]);
  }
  for (int j = threadIdx.x; j < width; j += kThreads) entry[width + j] = g.v.row(row)[j];
}

}  // namespace

void write_mla_entry(Context& ctx, const MlaEntry& e) {
  if (e.slots.numel() == 0) return;
  dispatch(e.cache.dtype, [&]<class T>() {
    mla_kernel<T><<<blocks_for(e.slots.numel(), 1), kThreads, 0, stream_of(ctx)>>>(
        {rows_of<T>(e.cache), rows_of<T>(e.q), rows_of<T>(e.q_flat), rows_of<T>(e.kv_a),
         data_of<T>(e.norm), rows_of<float>(e.cos), rows_of<float>(e.sin),
         data_of<int32_t>(e.slots), static_cast<int>(e.q.dim(1)), static_cast<int>(e.norm.numel()),
         2 * static_cast<int>(e.cos.cols()), static_cast<float>(e.eps)});
    check_launch();
  });
}

void write_gqa_entry(Context& ctx, const GqaEntry& e) {
  if (e.slots.numel() == 0) return;
  dispatch(e.cache.dtype, [&]<class T>() {
    gqa_kernel<T><<<blocks_for(e.slots.numel(), 1), kThreads, 0, stream_of(ctx)>>>(
        {rows_of<T>(e.cache), rows_of<T>(e.q), rows_of<T>(e.q_flat), rows_of<T>(e.k),
         rows_of<T>(e.v), rows_of<float>(e.cos), rows_of<float>(e.sin), data_of<int32_t>(e.slots)});
    check_launch();
  });
}

}  // namespace temper::cuda
