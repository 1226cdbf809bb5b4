#include "model/ops/cpu/decode_attention.h"

#include "model/ops/cpu/gemm_pack.h"
#include "model/ops/cpu/parallel.h"
#include "model/ops/cpu/softmax.h"

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
  // Calls body(first, count, numbers) for each block; `numbers` is the first token's cache entry.
  template <class Body>
  void for_blocks(Body&& body) const {
    for (int64_t u = 0; u < length; u += block_size)
      body(u, std::min(block_size, length - u),
           cache + blocks[u / block_size] * block_size * stride);
  }
};

// What the tasks of one call share: where keys and values lie in a cache entry, and scratch.
struct Layout {
  int64_t key_dim = 0, value_dim = 0;
  int64_t pitch = 0;  // of a row of scores
  Tensor queries, scores, tail;

  // Scratch for `heads` heads at a time on every thread.
  template <class T>
  static Layout make(Context& ctx, const PagedRows& rows, int64_t block_size, int64_t key_dim,
                     int64_t value_dim, int64_t heads) {
    const int32_t* length = rows.context_length.get<int32_t>();
    Layout layout{key_dim, value_dim, 0, {}, {}, {}};
    layout.pitch = *std::max_element(length, length + rows.context_length.numel());
    const DType dtype = dtype_of<T>();
    const int64_t threads = ctx.pool.size();
    layout.queries = ctx.scratch.tensor("decode.q", dtype, {threads, key_dim * kPanelCols<T>});
    layout.scores = ctx.scratch.tensor("decode.scores", dtype, {threads, heads * layout.pitch});
    layout.tail = ctx.scratch.tensor("decode.tail", dtype, {threads, block_size * Simd<T>::kLanes});
    return layout;
  }
};

// Up to kPanelCols heads of one row, all reading the same keys and values.
template <class T>
struct HeadGroup {
  int64_t heads = 0;
  int64_t key_at = 0, value_at = 0;  // in a cache entry
  MatrixView<T> out;                 // [heads, value_dim]
};

// scores[h, u] = q_h . k_u, the queries packed as [key_dim, width].
template <class T>
void score(const Past<T>& past, const HeadGroup<T>& group, const Layout& layout, const T* queries,
           int64_t width, T* scores) {
  PanelProduct<T> product;
  product.cols = group.heads;
  product.k = layout.key_dim;
  product.depth = block_depth(layout.key_dim);
  product.a_row = past.stride;
  product.b = queries;
  product.b_row = width;
  past.for_blocks([&](int64_t first, int64_t count, const T* numbers) {
    product.rows = count;
    product.a = numbers + group.key_at;
    product.c = {scores + first, 1, layout.pitch};
    panel_product(product);
  });
}

// out[h, :] = sum_u scores[h, u] v_u, block by block.
template <class T>
void weigh(const Past<T>& past, const HeadGroup<T>& group, const Layout& layout, const T* scores,
           T* tail) {
  constexpr int64_t kLanes = Simd<T>::kLanes;
  PanelProduct<T> product;
  product.rows = group.heads;
  product.a_row = layout.pitch;
  past.for_blocks([&](int64_t first, int64_t count, const T* numbers) {
    product.k = count;
    product.a = scores + first;
    product.accumulate = first > 0;
    for (int64_t j = 0; j < layout.value_dim; j += product.cols) {
      const int64_t left = layout.value_dim - j;
      product.cols = left >= 2 * kLanes ? 2 * kLanes : std::min(left, kLanes);
      product.b = numbers + group.value_at + j;
      product.b_row = past.stride;
      if (left < kLanes) {  // a whole vector would reach beyond the entry
        pack_columns<T>({product.b, past.stride, 1}, count, left, kLanes, tail);
        product.b = tail;
        product.b_row = kLanes;
      }
      product.c = {group.out.data + j, group.out.row, 1};
      panel_product(product);
    }
  });
}

// The group's attention, its queries already packed in the slot's scratch.
template <class T>
void attend(const Past<T>& past, const HeadGroup<T>& group, const Layout& layout, int64_t slot,
            int64_t width, T scale) {
  T* scores = layout.scores.row<T>(slot);
  score(past, group, layout, layout.queries.row<T>(slot), width, scores);
  for (int64_t h = 0; h < group.heads; ++h) {
    T* row = scores + h * layout.pitch;
    const T inverse = T(1) / SoftmaxRow<T>(row, past.length, past.length, scale).sum;
#pragma omp simd
    for (int64_t u = 0; u < past.length; ++u) row[u] *= inverse;
  }
  weigh(past, group, layout, scores, layout.tail.row<T>(slot));
}

template <class T>
int64_t panel_width(int64_t heads) {
  return heads <= Simd<T>::kLanes ? Simd<T>::kLanes : kPanelCols<T>;
}

template <class T>
void mla_decode(Context& ctx, const Tensor& o, const Tensor& q_latent, const Tensor& q_rope,
                const Tensor& cache, const PagedRows& rows, T scale) {
  const int64_t heads = q_latent.dim(1), latent = q_latent.cols(), rope = q_rope.cols();
  const int64_t at_once = std::min(heads, kPanelCols<T>), groups = (heads + at_once - 1) / at_once;
  ArenaScope scope(ctx.scratch);
  const Layout layout = Layout::make<T>(ctx, rows, cache.dim(1), latent + rope, latent, at_once);
  parallel_tasks(ctx, q_latent.dim(0) * groups, [&](int64_t slot, int64_t task) {
    const int64_t row = task / groups, head = task % groups * at_once;
    const int64_t first = row * heads + head, count = std::min(at_once, heads - head);
    const int64_t width = panel_width<T>(count);
    T* packed = layout.queries.row<T>(slot);
    pack_columns<T>({q_latent.row<T>(first), 1, q_latent.row_stride}, latent, count, width, packed);
    pack_columns<T>({q_rope.row<T>(first), 1, q_rope.row_stride}, rope, count, width,
                    packed + latent * width);
    attend<T>(Past<T>(cache, rows, row), {count, 0, 0, {o.row<T>(first), o.row_stride, 1}}, layout,
              slot, width, scale);
  });
}

template <class T>
void gqa_decode(Context& ctx, const Tensor& o, const Tensor& q, const Tensor& cache,
                const PagedRows& rows, T scale) {
  const int64_t heads = q.dim(1), dim = q.cols(), kv_heads = cache.cols() / (2 * dim);
  const int64_t share = heads / kv_heads;  // query heads of one kv head
  const int64_t at_once = std::min(share, kPanelCols<T>), groups = (share + at_once - 1) / at_once;
  ArenaScope scope(ctx.scratch);
  const Layout layout = Layout::make<T>(ctx, rows, cache.dim(1), dim, dim, at_once);
  parallel_tasks(ctx, q.dim(0) * kv_heads * groups, [&](int64_t slot, int64_t task) {
    const int64_t row = task / (kv_heads * groups), kv = task / groups % kv_heads;
    const int64_t head = task % groups * at_once, count = std::min(at_once, share - head);
    const int64_t first = row * heads + kv * share + head, width = panel_width<T>(count);
    pack_columns<T>({q.row<T>(first), 1, q.row_stride}, dim, count, width,
                    layout.queries.row<T>(slot));
    attend<T>(Past<T>(cache, rows, row),
              {count, kv * dim, (kv_heads + kv) * dim, {o.row<T>(first), o.row_stride, 1}}, layout,
              slot, width, scale);
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
