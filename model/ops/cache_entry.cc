#include "model/ops/cache_entry.h"

#include "model/ops/check.h"
#include "model/ops/cpu/cache_entry.h"
#include "model/ops/cuda/cache_entry.h"

namespace temper {

void write_mla_entry(Context& ctx, const MlaEntry& e) {
  check_alike({e.cache, e.q, e.q_flat, e.kv_a, e.norm});
  check_i32(e.slots, "mla_entry: slots");
  require(e.q.rank == 3 && e.cache.rank == 3, "mla_entry: ranks");
  const int64_t rows = e.slots.numel(), rope = 2 * e.cos.cols();
  check_rows_cols(e.q_flat, rows, e.q.dim(1) * e.q.cols(), "mla_entry: q_flat");
  check_rows_cols(e.q, rows * e.q.dim(1), e.q.cols(), "mla_entry: q");
  check_rows_cols(e.kv_a, rows, e.norm.numel() + rope, "mla_entry: kv_a");
  check_rows_cols(e.cos, rows, rope / 2, "mla_entry: cos");
  check_rows_cols(e.sin, rows, rope / 2, "mla_entry: sin");
  require(e.cache.cols() == e.kv_a.cols() && e.q.cols() >= rope, "mla_entry: widths");
  switch (e.cache.device) {
    case Device::cpu:
      return cpu::write_mla_entry(ctx, e);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::write_mla_entry(ctx, e);
      no_backend();
  }
}

bool write_mla_query(Context& ctx, const MlaQuery& query) {
  const MlaEntry& e = query.entry;
  check_alike({e.cache, e.q_flat, e.kv_a, e.norm, query.q_latent, query.q_rope, query.w_uk});
  check_i32(e.slots, "mla_query: slots");
  require(query.q_latent.rank == 3 && query.q_rope.rank == 3, "mla_query: ranks");
  const int64_t rows = e.slots.numel(), heads = query.q_latent.dim(1);
  const int64_t latent = query.q_latent.cols(), rope = query.q_rope.cols();
  check_shape(query.q_latent, {rows, heads, latent}, "mla_query: q_latent");
  check_shape(query.q_rope, {rows, heads, rope}, "mla_query: q_rope");
  const int64_t nope = query.w_uk.cols() / latent;
  check_rows_cols(query.w_uk, heads, nope * latent, "mla_query: w_uk");
  check_rows_cols(e.q_flat, rows, heads * (nope + rope), "mla_query: q_flat");
  check_rows_cols(e.kv_a, rows, latent + rope, "mla_query: kv_a");
  check_rows_cols(e.cos, rows, rope / 2, "mla_query: cos");
  check_rows_cols(e.sin, rows, rope / 2, "mla_query: sin");
  require(e.norm.numel() == latent && e.cache.cols() == latent + rope, "mla_query: widths");
  if constexpr (kWithCuda)
    return e.cache.device == Device::cuda && cuda::write_mla_query(ctx, query);
  return false;
}

void write_gqa_entry(Context& ctx, const GqaEntry& e) {
  check_alike({e.cache, e.q, e.q_flat, e.k, e.v});
  check_i32(e.slots, "gqa_entry: slots");
  require(e.q.rank == 3 && e.cache.rank == 3, "gqa_entry: ranks");
  const int64_t rows = e.slots.numel(), dim = e.q.cols();
  check_rows_cols(e.q_flat, rows, e.q.dim(1) * dim, "gqa_entry: q_flat");
  check_rows_cols(e.q, rows * e.q.dim(1), dim, "gqa_entry: q");
  check_rows_cols(e.k, rows, e.cache.cols() / 2, "gqa_entry: k");
  check_rows_cols(e.v, rows, e.cache.cols() / 2, "gqa_entry: v");
  check_rows_cols(e.cos, rows, dim / 2, "gqa_entry: cos");
  check_rows_cols(e.sin, rows, dim / 2, "gqa_entry: sin");
  require(e.k.cols() % dim == 0, "gqa_entry: the cache's width is not 2 * kv heads * D");
  switch (e.cache.device) {
    case Device::cpu:
      return cpu::write_gqa_entry(ctx, e);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::write_gqa_entry(ctx, e);
      no_backend();
  }
}

}  // namespace temper
