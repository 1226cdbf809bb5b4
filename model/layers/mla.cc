#include "model/layers/mla.h"

#include "core/device.h"
#include "core/named_range.h"
#include "model/layers/stacked.h"
#include "model/ops/cache_entry.h"
#include "model/ops/elementwise.h"
#include "model/ops/linear.h"
#include "model/ops/mla_attention.h"
#include "model/ops/mla_heads.h"
#include "model/ops/permute.h"
#include "model/ops/rms_norm.h"
#include "model/ops/rope.h"

namespace temper {
namespace {

// The head dimensions under short names.
struct Dims {
  int64_t heads, nope, rope, qk, v, latent, q_lora;
  explicit Dims(const ModelConfig& c)
      : heads(c.num_attention_heads),
        nope(c.qk_nope_head_dim),
        rope(c.qk_rope_head_dim),
        qk(nope + rope),
        v(c.v_head_dim),
        latent(c.kv_lora_rank),
        q_lora(c.q_lora_rank) {}
};

// q before RoPE, through the low-rank pair if there is one.
void project_q(Context& ctx, const ModelConfig& config, Arena& arena, MlaSaved& s,
               const MlaWeights& w) {
  const Dims n(config);
  const int64_t tokens = s.x.rows();
  const DType dtype = s.x.dtype;
  s.q = arena.tensor("mla.q", dtype, {tokens, n.heads * n.qk});  // [T, H*(nope+rope)]
  if (n.q_lora == 0) return linear_forward(ctx, s.q, s.x, w.q_proj);
  s.q_a = arena.tensor("mla.q_a", dtype, {tokens, n.q_lora});                // [T, q_lora]
  s.q_a_rstd = arena.tensor("mla.q_a_rstd", stat_dtype(dtype), {tokens});    // [T]
  s.q_a_normed = arena.tensor("mla.q_a_normed", dtype, {tokens, n.q_lora});  // [T, q_lora]
  linear_forward(ctx, s.q_a, s.x, w.q_a_proj);
  rms_norm_forward(ctx, s.q_a_normed, {s.q_a_rstd}, s.q_a, w.q_a_layernorm, config.latent_norm_eps);
  linear_forward(ctx, s.q, s.q_a_normed, w.q_b_proj);
}

// q and kv_a, which begins the way to keys and values, of x: one product where the weights allow.
void project_input(Context& ctx, const ModelConfig& config, Arena& arena, MlaSaved& s,
                   const MlaWeights& w) {
  const Dims n(config);
  const int64_t tokens = s.x.rows(), q_cols = n.heads * n.qk, kv_cols = n.latent + n.rope;
  const Tensor both = n.q_lora == 0 ? stacked(w.q_proj, w.kv_a_proj_with_mqa) : Tensor{};
  if (!both.empty()) {
    const Tensor out = arena.tensor("mla.q_kv_a", s.x.dtype, {tokens, q_cols + kv_cols});
    linear_forward(ctx, out, s.x, both);
    s.q = out.slice_cols(0, q_cols), s.kv_a = out.slice_cols(q_cols, kv_cols);
    return;
  }
  project_q(ctx, config, arena, s, w);
  s.kv_a = arena.tensor("mla.kv_a", s.x.dtype, {tokens, kv_cols});  // [T, R+rope]
  linear_forward(ctx, s.kv_a, s.x, w.kv_a_proj_with_mqa);
}

// The compressed keys and values, normed; k_rope stays as the last columns of kv_a, before RoPE.
void norm_latent(Context& ctx, const ModelConfig& config, Arena& arena, MlaSaved& s,
                 const MlaWeights& w) {
  const Dims n(config);
  const int64_t tokens = s.x.rows();
  s.kv_a_rstd = arena.tensor("mla.kv_a_rstd", stat_dtype(s.x.dtype), {tokens});  // [T]
  s.latent = arena.tensor("mla.latent", s.x.dtype, {tokens, n.latent});          // [T, R]
  rms_norm_forward(ctx, s.latent, {s.kv_a_rstd}, s.kv_a.slice_cols(0, n.latent), w.kv_a_layernorm,
                   config.latent_norm_eps);
}

// Keys and values of all tokens that the rows see, from the cache, in place of the rows' own.
void expand_cached(const LayerEnv& env, MlaSaved& s, const MlaWeights& w) {
  Context& ctx = env.ctx;
  const Dims n(env.config);
  const int64_t tokens = env.earlier.slots.numel();
  const auto scratch = [&](const char* name, std::initializer_list<int64_t> dims) {
    return ctx.scratch.tensor(name, s.x.dtype, dims);
  };
  const Tensor entries = scratch("mla.entries", {tokens, n.latent + n.rope});  // [Tk, R+rope]
  s.kv = scratch("mla.kv", {tokens, n.heads, n.nope + n.v});                   // [Tk, H, nope+v]
  gather_rows_forward(ctx, entries,
                      env.cache.reshape({env.cache.dim(0) * env.cache.dim(1), env.cache.cols()}),
                      env.earlier.slots);
  linear_forward(ctx, s.kv.reshape({tokens, n.heads * (n.nope + n.v)}),
                 entries.slice_cols(0, n.latent), w.kv_b_proj);
  s.k_rope = entries.slice_cols(n.latent, n.rope);
}

// What attention looks at.
MlaAttention attention_of(const MlaSaved& s, const Dims& n) {
  return {s.q, s.kv.slice_cols(0, n.nope), s.k_rope, s.kv.slice_cols(n.nope, n.v)};
}

}  // namespace

void mla_forward(const LayerEnv& env, Tensor stream, MlaSaved* saved, Tensor x,
                 const MlaWeights& w) {
  const NamedRange range(env.ctx, "mla forward");
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  Arena& arena = env.arena(saved != nullptr);
  const Dims n(env.config);
  const int64_t tokens = x.rows();
  MlaSaved s;
  s.x = x;
  project_input(ctx, env.config, arena, s, w);
  norm_latent(ctx, env.config, arena, s, w);

  // Expand the latent to per-head keys and values; every head's key ends in the same k_rope.
  s.kv = arena.tensor("mla.kv", x.dtype, {tokens, n.heads, n.nope + n.v});  // [T, H, nope+v]
  s.k_rope = arena.tensor("mla.k_rope", x.dtype, {tokens, n.rope});         // [T, rope]
  linear_forward(ctx, s.kv.reshape({tokens, n.heads * (n.nope + n.v)}), s.latent, w.kv_b_proj);
  mla_rope_forward(ctx,
                   {s.q, s.k_rope, s.kv_a.slice_cols(n.latent, n.rope), env.cos, env.sin, n.heads});
  if (!env.cache.empty()) {
    require(saved == nullptr, "the cache is filled by passes that keep nothing for backward");
    copy(ctx, s.kv_a.slice_cols(0, n.latent), s.latent);
    copy(ctx, s.kv_a.slice_cols(n.latent, n.rope), s.k_rope);
    cache_write(ctx, env.cache, s.kv_a, env.slots);
  }

  s.o = arena.tensor("mla.o", x.dtype, {tokens, n.heads, n.v});             // [T, H, v]
  s.lse = arena.tensor("mla.lse", stat_dtype(x.dtype), {tokens, n.heads});  // [T, H]
  if (!env.earlier.slots.empty()) expand_cached(env, s, w);
  mla_attention_forward(ctx, s.o, s.lse, attention_of(s, n),
                        {env.sequences, env.config.softmax_scale(), env.earlier.sequences});
  linear_add_forward(ctx, stream, s.o.reshape({tokens, n.heads * n.v}), w.o_proj);
  if (saved != nullptr) *saved = s;
}

namespace {

// From dq, before RoPE, to the input, through the low-rank pair if there is one.
void project_q_backward(const LayerEnv& env, const Grad& dx, const MlaWeights& dw, Tensor dq,
                        const MlaSaved& s, const MlaWeights& w) {
  Context& ctx = env.ctx;
  if (!w.q_proj.empty())
    return linear_backward(ctx, {.dx = dx, .dw = env.grad(dw.q_proj)}, dq, s.x, w.q_proj);
  ArenaScope scope(ctx.scratch);
  const int64_t tokens = s.q_a.rows(), q_lora = s.q_a.cols();
  const Tensor dq_normed = ctx.scratch.tensor("mla.dq_normed", dq.dtype, {tokens, q_lora});
  const Tensor dq_a = ctx.scratch.tensor("mla.dq_a", dq.dtype, {tokens, q_lora});
  linear_backward(ctx, {.dx = fresh(dq_normed), .dw = env.grad(dw.q_b_proj)}, dq, s.q_a_normed,
                  w.q_b_proj);
  rms_norm_backward(ctx, {fresh(dq_a), env.grad(dw.q_a_layernorm)}, dq_normed, s.q_a,
                    w.q_a_layernorm, s.q_a_rstd);
  linear_backward(ctx, {.dx = dx, .dw = env.grad(dw.q_a_proj)}, dq_a, s.x, w.q_a_proj);
}

}  // namespace

void mla_backward(const LayerEnv& env, const Grad& dx, const MlaWeights& dw, Tensor dy,
                  const MlaSaved& s, const MlaWeights& w) {
  const NamedRange range(env.ctx, "mla backward");
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  const Dims n(env.config);
  const int64_t tokens = dy.rows();
  const DType dtype = dy.dtype;
  const auto scratch = [&](const char* name, std::initializer_list<int64_t> dims) {
    return ctx.scratch.tensor(name, dtype, dims);
  };
  const Tensor d_o = scratch("mla.do", {tokens, n.heads, n.v});            // [T, H, v]
  const Tensor dkv = scratch("mla.dkv", {tokens, n.heads, n.nope + n.v});  // [T, H, nope+v]
  const Tensor dlatent = scratch("mla.dlatent", {tokens, n.latent});       // [T, R]
  // Side by side, so that one product takes both back to x where the weights allow.
  const int64_t q_cols = n.heads * n.qk, kv_cols = n.latent + n.rope;
  const Tensor both = scratch("mla.dq_kv_a", {tokens, q_cols + kv_cols});
  const Tensor dq = both.slice_cols(0, q_cols);           // [T, H*(nope+rope)]
  const Tensor dkv_a = both.slice_cols(q_cols, kv_cols);  // [T, R+rope]

  linear_backward(ctx,
                  {.dx = fresh(d_o.reshape({tokens, n.heads * n.v})), .dw = env.grad(dw.o_proj)},
                  dy, s.o.reshape({tokens, n.heads * n.v}), w.o_proj);
  mla_attention_backward(
      ctx,
      {fresh(dq), fresh(dkv.slice_cols(0, n.nope)), fresh(dkv_a.slice_cols(n.latent, n.rope)),
       fresh(dkv.slice_cols(n.nope, n.v))},
      d_o, {attention_of(s, n), s.o, s.lse, env.cos, env.sin},
      {env.sequences, env.config.softmax_scale()});

  // Keys and values: back through kv_b_proj and the latent's norm.
  linear_backward(ctx, {.dx = fresh(dlatent), .dw = env.grad(dw.kv_b_proj)},
                  dkv.reshape({tokens, n.heads * (n.nope + n.v)}), s.latent, w.kv_b_proj);
  rms_norm_backward(ctx, {fresh(dkv_a.slice_cols(0, n.latent)), env.grad(dw.kv_a_layernorm)},
                    dlatent, s.kv_a.slice_cols(0, n.latent), w.kv_a_layernorm, s.kv_a_rstd);
  const Tensor weights = stacked(w.q_proj, w.kv_a_proj_with_mqa);
  const Tensor dweights = stacked(dw.q_proj, dw.kv_a_proj_with_mqa);
  if (!weights.empty() && !dweights.empty())
    return linear_backward(ctx, {.dx = dx, .dw = env.grad(dweights)}, both, s.x, weights);
  linear_backward(ctx, {.dx = dx, .dw = env.grad(dw.kv_a_proj_with_mqa)}, dkv_a, s.x,
                  w.kv_a_proj_with_mqa);
  project_q_backward(env, dx.written(), dw, dq, s, w);
}

void mla_decode(const DecodeEnv& env, Tensor stream, Tensor x, const MlaWeights& w) {
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  const Dims n(env.config);
  const int64_t rows = x.rows();
  const auto scratch = [&](const char* name, int64_t cols) {
    return ctx.scratch.tensor(name, x.dtype, {rows, n.heads, cols});  // [N, H, cols]
  };
  const Tensor q_latent = scratch("mla.q_latent", n.latent), o = scratch("mla.o", n.v);
  const Tensor o_latent = scratch("mla.o_latent", n.latent);
  Tensor q_rope = scratch("mla.q_rope", n.rope);
  MlaSaved s;
  s.x = x;
  project_input(ctx, env.config, ctx.scratch, s, w);
  // kv_b_proj's rows of one head are W_UK_h [nope, R] above W_UV_h [v, R].
  const Tensor kv_b = w.kv_b_proj.reshape({n.heads, (n.nope + n.v) * n.latent});
  const Tensor w_uk = kv_b.slice_cols(0, n.nope * n.latent);               // [H, nope*R]
  const Tensor w_uv = kv_b.slice_cols(n.nope * n.latent, n.v * n.latent);  // [H, v*R]
  MlaEntry entry{.cache = env.cache,
                 .q = {},
                 .q_flat = s.q,
                 .kv_a = s.kv_a,
                 .norm = w.kv_a_layernorm,
                 .cos = env.cos,
                 .sin = env.sin,
                 .slots = env.slots,
                 .eps = env.config.latent_norm_eps};
  if (!write_mla_query(ctx, {entry, q_latent, q_rope, w_uk})) {
    entry.q = scratch("mla.q", n.qk);
    write_mla_entry(ctx, entry);
    head_linear_transposed_forward(ctx, q_latent, entry.q.slice_cols(0, n.nope), w_uk);
    q_rope = entry.q.slice_cols(n.nope, n.rope);
  }
  mla_decode_attention(ctx, o_latent, q_latent, q_rope, env.cache, env.rows,
                       env.config.softmax_scale());
  head_linear_forward(ctx, o, o_latent, w_uv);
  linear_add_forward(ctx, stream, o.reshape({rows, n.heads * n.v}), w.o_proj);
}

}  // namespace temper
