#include "model/ops/cpu/decode_attention.h"

#include <cstring>

#include "model/ops/cpu/parallel.h"
#include "model/ops/cpu/simd.h"

namespace temper::cpu {
namespace {

// The cached tokens that one row sees.
template <class T>
struct Past {
  const T* cache = nullptr;
  const int32_t* blocks = nullptr;
  int64_t block_size = 0, stride = 0, length = 0;

  Past(const Tensor& pool, const PagedRows& rows, int64_t row)
      : cache(pool.get<T>()),
        blocks(rows.block_table.row<int32_t>(rows.row_sequence.get<int32_t>()[row])),
        block_size(pool.dim(1)),
        stride(pool.row_stride),
        length(rows.context_length.get<int32_t>()[row]) {
    require(length > 0 && length <= rows.block_table.cols() * block_size,
            "decode: a context length outside the block table");
  }
  const T* token(int64_t u) const {
    return cache + (blocks[u / block_size] * block_size + u % block_size) * stride;
  }
};

template <class T>
T dot(const T* a, const T* b, int64_t n) {
  return lane_sum<T>(n, [a, b](int64_t i) { return a[i] * b[i]; });
}

// out = sum_u softmax_u(scores) value(u), with scores already scaled; scores become weights.
template <class T, class Value>
void weighted_sum(T* scores, int64_t length, T* out, int64_t n, Value value) {
  const T top = row_max(scores, length);
#pragma omp simd
  for (int64_t u = 0; u < length; ++u) scores[u] = fast_exp(scores[u] - top);
  const T inverse = T(1) / lane_sum<T>(length, [scores](int64_t u) { return scores[u]; });
  std::fill(out, out + n, T(0));
  for (int64_t u = 0; u < length; ++u) {
    const T* from = value(u);
    const T w = scores[u] * inverse;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) out[i] += w * from[i];
  }
}

int64_t longest_context(const PagedRows& rows) {
  const int32_t* length = rows.context_length.get<int32_t>();
  return *std::max_element(length, length + rows.context_length.numel());
}

template <class T>
void mla_decode(Context& ctx, const Tensor& o, const Tensor& q_latent, const Tensor& q_rope,
                const Tensor& cache, const PagedRows& rows, T scale) {
  const int64_t heads = q_latent.dim(1), latent = q_latent.cols(), rope = q_rope.cols();
  ArenaScope scope(ctx.scratch);
  const Tensor work =
      ctx.scratch.tensor("decode.scores", dtype_of<T>(), {ctx.pool.size(), longest_context(rows)});
  parallel_tasks(ctx, q_latent.rows(), [&](int64_t slot, int64_t r) {
    const Past<T> past(cache, rows, r / heads);
    T* scores = work.row<T>(slot);
    for (int64_t u = 0; u < past.length; ++u) {
      const T* token = past.token(u);
      scores[u] = scale * (dot(q_latent.row<T>(r), token, latent) +
                           dot(q_rope.row<T>(r), token + latent, rope));
    }
    weighted_sum(scores, past.length, o.row<T>(r), latent,
                 [&](int64_t u) { return past.token(u); });
  });
}

template <class T>
void gqa_decode(Context& ctx, const Tensor& o, const Tensor& q, const Tensor& cache,
                const PagedRows& rows, T scale) {
  const int64_t heads = q.dim(1), dim = q.cols(), kv_heads = cache.cols() / (2 * dim);
  const int64_t group = heads / kv_heads;
  ArenaScope scope(ctx.scratch);
  const Tensor work =
      ctx.scratch.tensor("decode.scores", dtype_of<T>(), {ctx.pool.size(), longest_context(rows)});
  parallel_tasks(ctx, q.rows(), [&](int64_t slot, int64_t r) {
    const Past<T> past(cache, rows, r / heads);
    const int64_t k_at = r % heads / group * dim, v_at = kv_heads * dim + k_at;
    T* scores = work.row<T>(slot);
    for (int64_t u = 0; u < past.length; ++u)
      scores[u] = scale * dot(q.row<T>(r), past.token(u) + k_at, dim);
    weighted_sum(scores, past.length, o.row<T>(r), dim,
                 [&](int64_t u) { return past.token(u) + v_at; });
  });
}

}  // namespace

void cache_write(Context& ctx, Tensor cache, Tensor values, Tensor slots) {
  const int32_t* slot = slots.get<int32_t>();
  dispatch_float(cache.dtype, [&]<class T>() {
    parallel_rows(ctx, values.rows(), values.cols(), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        require(slot[n] >= 0 && slot[n] < cache.rows(), "cache_write: a slot outside the cache");
        const T* from = values.row<T>(n);
        std::copy(from, from + values.cols(), cache.row<T>(slot[n]));
      }
    });
  });
}

void mla_decode_attention(Context& ctx, Tensor o_latent, Tensor q_latent, Tensor q_rope,
                          Tensor cache, const PagedRows& rows, double scale) {
  if (q_latent.rows() == 0) return;
  dispatch_float(o_latent.dtype, [&]<class T>() {
    mla_decode<T>(ctx, o_latent, q_latent, q_rope, cache, rows, static_cast<T>(scale));
  });
}

void gqa_decode_attention(Context& ctx, Tensor o, Tensor q, Tensor cache, const PagedRows& rows,
                          double scale) {
  if (q.rows() == 0) return;
  dispatch_float(o.dtype,
                 [&]<class T>() { gqa_decode<T>(ctx, o, q, cache, rows, static_cast<T>(scale)); });
}

}  // namespace temper::cpu
