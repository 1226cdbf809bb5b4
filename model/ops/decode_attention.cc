#include "model/ops/decode_attention.h"

#include "model/ops/check.h"
#include "model/ops/cpu/decode_attention.h"
#include "model/ops/cuda/decode_attention.h"

namespace temper {
namespace {

void check_rows(const PagedRows& rows, int64_t count) {
  check_i32(rows.block_table, "decode: block_table");
  check_i32(rows.row_sequence, "decode: row_sequence");
  check_i32(rows.context_length, "decode: context_length");
  require(rows.block_table.rank == 2, "decode: block_table is not [S, max_blocks]");
  check_shape(rows.row_sequence, {count}, "decode: row_sequence");
  check_shape(rows.context_length, {count}, "decode: context_length");
}

}  // namespace

void cache_write(Context& ctx, Tensor cache, Tensor values, Tensor slots) {
  check_alike({cache, values});
  check_i32(slots, "cache_write: slots");
  require(cache.rank == 3, "cache_write: cache is not [blocks, block_size, width]");
  check_rows_cols(values, slots.numel(), cache.cols(), "cache_write: values");
  switch (cache.device) {
    case Device::cpu:
      return cpu::cache_write(ctx, cache, values, slots);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::cache_write(ctx, cache, values, slots);
      no_backend();
  }
}

void mla_decode_attention(Context& ctx, Tensor o_latent, Tensor q_latent, Tensor q_rope,
                          Tensor cache, const PagedRows& rows, double scale) {
  check_alike({o_latent, q_latent, q_rope, cache});
  require(q_latent.rank == 3 && q_rope.rank == 3 && cache.rank == 3, "mla_decode: ranks");
  const int64_t count = q_latent.dim(0), heads = q_latent.dim(1), latent = q_latent.cols();
  check_shape(o_latent, {count, heads, latent}, "mla_decode: o_latent");
  check_shape(q_rope, {count, heads, cache.cols() - latent}, "mla_decode: q_rope");
  check_rows(rows, count);
  switch (o_latent.device) {
    case Device::cpu:
      return cpu::mla_decode_attention(ctx, o_latent, q_latent, q_rope, cache, rows, scale);
    case Device::cuda:
      if constexpr (kWithCuda)
        return cuda::mla_decode_attention(ctx, o_latent, q_latent, q_rope, cache, rows, scale);
      no_backend();
  }
}

void gqa_decode_attention(Context& ctx, Tensor o, Tensor q, Tensor cache, const PagedRows& rows,
                          double scale) {
  check_alike({o, q, cache});
  require(q.rank == 3 && cache.rank == 3, "gqa_decode: ranks");
  const int64_t dim = q.cols(), kv_heads = cache.cols() / (2 * dim);
  check_shape(o, {q.dim(0), q.dim(1), dim}, "gqa_decode: o");
  require(kv_heads > 0 && kv_heads * 2 * dim == cache.cols() && q.dim(1) % kv_heads == 0,
          "gqa_decode: the cache's width is not 2 * kv heads * D");
  check_rows(rows, q.dim(0));
  switch (o.device) {
    case Device::cpu:
      return cpu::gqa_decode_attention(ctx, o, q, cache, rows, scale);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::gqa_decode_attention(ctx, o, q, cache, rows, scale);
      no_backend();
  }
}

}  // namespace temper
