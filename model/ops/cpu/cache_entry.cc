#include "model/ops/cpu/cache_entry.h"

#include "model/ops/cpu/decode_attention.h"
#include "model/ops/cpu/elementwise.h"
#include "model/ops/cpu/rms_norm.h"
#include "model/ops/cpu/rope.h"

namespace temper::cpu {

void write_mla_entry(Context& ctx, const MlaEntry& e) {
  ArenaScope scope(ctx.scratch);
  const int64_t rows = e.kv_a.rows(), latent = e.norm.numel(), rope = e.kv_a.cols() - latent;
  const Tensor values =
      ctx.scratch.tensor("entry.values", e.kv_a.dtype, {rows, latent + rope});  // [N, R+rope]
  const Tensor k_rope = values.slice_cols(latent, rope);
  cpu::rms_norm_forward(ctx, values.slice_cols(0, latent), {}, e.kv_a.slice_cols(0, latent), e.norm,
                        e.eps);
  cpu::copy(ctx, k_rope, e.kv_a.slice_cols(latent, rope));
  cpu::rope_forward(ctx, k_rope, e.cos, e.sin, RopeStyle::interleaved);
  cpu::cache_write(ctx, e.cache, values, e.slots);
  cpu::copy(ctx, e.q.reshape({rows, e.q_flat.cols()}), e.q_flat);
  cpu::rope_forward(ctx, e.q.slice_cols(e.q.cols() - rope, rope), e.cos, e.sin,
                    RopeStyle::interleaved);
}

void write_gqa_entry(Context& ctx, const GqaEntry& e) {
  ArenaScope scope(ctx.scratch);
  const int64_t rows = e.k.rows(), width = e.k.cols(), dim = e.q.cols();
  const Tensor k =
      ctx.scratch.tensor("entry.k", e.k.dtype, {rows, width / dim, dim});  // [N, Hkv, D]
  const Tensor values = ctx.scratch.tensor("entry.values", e.k.dtype, {rows, 2 * width});
  cpu::copy(ctx, k.reshape({rows, width}), e.k);
  cpu::rope_forward(ctx, k, e.cos, e.sin, RopeStyle::halves);
  cpu::copy(ctx, values.slice_cols(0, width), k.reshape({rows, width}));
  cpu::copy(ctx, values.slice_cols(width, width), e.v);
  cpu::cache_write(ctx, e.cache, values, e.slots);
  cpu::copy(ctx, e.q.reshape({rows, e.q_flat.cols()}), e.q_flat);
  cpu::rope_forward(ctx, e.q, e.cos, e.sin, RopeStyle::halves);
}

}  // namespace temper::cpu
