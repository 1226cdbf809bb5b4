#include "model/layers/gqa.h"

#include "core/device.h"
#include "core/named_range.h"
#include "model/layers/stacked.h"
#include "model/ops/attention.h"
#include "model/ops/cache_entry.h"
#include "model/ops/elementwise.h"
#include "model/ops/linear.h"
#include "model/ops/permute.h"
#include "model/ops/rms_norm.h"
#include "model/ops/rope.h"

namespace temper {
namespace {

// One projection with its optional norm: raw = W x + b, out = norm(raw) (or raw itself).
struct HeadProjection {
  Tensor raw, rstd, out;  // [T, heads, D], [T*heads], [T, heads, D]
};
HeadProjection project_heads(Context& ctx, const ModelConfig& config, Arena& arena, Tensor x,
                             int64_t heads, Tensor weight, Tensor bias, Tensor norm) {
  const int64_t tokens = x.rows(), d = config.head_dim;
  HeadProjection p;
  p.raw = arena.tensor("gqa.proj", x.dtype, {tokens, heads, d});
  linear_forward(ctx, p.raw.reshape({tokens, heads * d}), x, weight, bias);
  p.out = p.raw;
  if (norm.empty()) return p;
  p.rstd = arena.tensor("gqa.rstd", stat_dtype(x.dtype), {tokens * heads});
  p.out = arena.tensor("gqa.normed", x.dtype, {tokens, heads, d});
  rms_norm_forward(ctx, p.out, {p.rstd}, p.raw, norm, config.rms_norm_eps);
  return p;
}

// q, k, v of the rows, q and k after RoPE.
void project_qkv(Context& ctx, const ModelConfig& config, Arena& arena, GqaSaved& s,
                 const GqaWeights& w, Tensor cos, Tensor sin) {
  const int64_t heads = config.num_attention_heads, kv_heads = config.num_key_value_heads;
  const HeadProjection q =
      project_heads(ctx, config, arena, s.x, heads, w.q_proj, w.q_bias, w.q_norm);
  const HeadProjection k =
      project_heads(ctx, config, arena, s.x, kv_heads, w.k_proj, w.k_bias, w.k_norm);
  s.v = project_heads(ctx, config, arena, s.x, kv_heads, w.v_proj, w.v_bias, {}).out;
  rope_forward(ctx, q.out, cos, sin, RopeStyle::halves);
  rope_forward(ctx, k.out, cos, sin, RopeStyle::halves);
  s.q_raw = q.raw, s.q_rstd = q.rstd, s.q = q.out;
  s.k_raw = k.raw, s.k_rstd = k.rstd, s.k = k.out;
}

// The way back of one projection: dout is the gradient after RoPE, used as scratch.
struct ProjectionGrads {
  Grad dx, dweight, dbias, dnorm;
};
void project_heads_backward(const LayerEnv& env, const ProjectionGrads& grads, Tensor dout,
                            const HeadProjection& p, Tensor x, Tensor weight, Tensor norm) {
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  const int64_t tokens = dout.dim(0), heads = dout.dim(1), d = dout.dim(2);
  Tensor draw = dout;
  if (!norm.empty()) {
    draw = ctx.scratch.tensor("gqa.draw", dout.dtype, {tokens, heads, d});
    rms_norm_backward(ctx, {fresh(draw), grads.dnorm}, dout, p.raw, norm, p.rstd);
  }
  linear_backward(ctx, {.dx = grads.dx, .dw = grads.dweight, .dbias = grads.dbias},
                  draw.reshape({tokens, heads * d}), x, weight);
}

// One cache entry is all k heads, then all v heads.
void write_entries(Context& ctx, Tensor cache, Tensor slots, const GqaSaved& s) {
  ArenaScope scope(ctx.scratch);
  const int64_t rows = s.k.dim(0), width = s.k.dim(1) * s.k.dim(2);
  Tensor entry = ctx.scratch.tensor("gqa.entry", s.k.dtype, {rows, 2 * width});
  copy(ctx, entry.slice_cols(0, width), s.k.reshape({rows, width}));
  copy(ctx, entry.slice_cols(width, width), s.v.reshape({rows, width}));
  cache_write(ctx, cache, entry, slots);
}

// Keys and values of all tokens that the rows see, from the cache, in place of the rows' own.
void take_cached(const LayerEnv& env, GqaSaved& s) {
  Context& ctx = env.ctx;
  const int64_t tokens = env.earlier.slots.numel(), heads = s.k.dim(1), d = s.k.dim(2);
  const int64_t width = heads * d;
  const auto scratch = [&](const char* name, int64_t cols) {
    return ctx.scratch.tensor(name, s.x.dtype, {tokens, cols});
  };
  const Tensor entries = scratch("gqa.entries", 2 * width);               // [Tk, 2*Hkv*D]
  const Tensor k = scratch("gqa.k", width), v = scratch("gqa.v", width);  // [Tk, Hkv*D]
  gather_rows_forward(ctx, entries,
                      env.cache.reshape({env.cache.dim(0) * env.cache.dim(1), env.cache.cols()}),
                      env.earlier.slots);
  copy(ctx, k, entries.slice_cols(0, width));
  copy(ctx, v, entries.slice_cols(width, width));
  s.k = k.reshape({tokens, heads, d}), s.v = v.reshape({tokens, heads, d});
}

}  // namespace

void gqa_forward(const LayerEnv& env, Tensor stream, GqaSaved* saved, Tensor x,
                 const GqaWeights& w) {
  const NamedRange range(env.ctx, "gqa forward");
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  Arena& arena = env.arena(saved != nullptr);
  const int64_t tokens = x.rows(), heads = env.config.num_attention_heads;
  const int64_t d = env.config.head_dim;
  GqaSaved s;
  s.x = x;
  project_qkv(ctx, env.config, arena, s, w, env.cos, env.sin);
  if (!env.cache.empty()) {
    require(saved == nullptr, "the cache is filled by passes that keep nothing for backward");
    write_entries(ctx, env.cache, env.slots, s);
  }
  s.o = arena.tensor("gqa.o", x.dtype, {tokens, heads, d});               // [T, H, D]
  s.lse = arena.tensor("gqa.lse", stat_dtype(x.dtype), {tokens, heads});  // [T, H]
  if (!env.earlier.slots.empty()) take_cached(env, s);
  attention_forward(ctx, s.o, s.lse, s.q, s.k, s.v,
                    {env.sequences, env.config.softmax_scale(), env.earlier.sequences});
  linear_add_forward(ctx, stream, s.o.reshape({tokens, heads * d}), w.o_proj, w.o_bias);
  if (saved != nullptr) *saved = s;
}

void gqa_backward(const LayerEnv& env, const Grad& dx, const GqaWeights& dw, Tensor dy,
                  const GqaSaved& s, const GqaWeights& w) {
  const NamedRange range(env.ctx, "gqa backward");
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  const int64_t tokens = dy.rows(), heads = env.config.num_attention_heads;
  const int64_t kv_heads = env.config.num_key_value_heads, d = env.config.head_dim;
  const DType dtype = dy.dtype;
  Tensor d_o = ctx.scratch.tensor("gqa.do", dtype, {tokens, heads, d});    // [T, H, D]
  Tensor dq = ctx.scratch.tensor("gqa.dq", dtype, {tokens, heads, d});     // [T, H, D]
  Tensor dk = ctx.scratch.tensor("gqa.dk", dtype, {tokens, kv_heads, d});  // [T, Hkv, D]
  Tensor dv = ctx.scratch.tensor("gqa.dv", dtype, {tokens, kv_heads, d});  // [T, Hkv, D]

  linear_backward(ctx,
                  {.dx = fresh(d_o.reshape({tokens, heads * d})),
                   .dw = env.grad(dw.o_proj),
                   .dbias = env.grad(dw.o_bias)},
                  dy, s.o.reshape({tokens, heads * d}), w.o_proj);
  attention_backward(ctx, {fresh(dq), fresh(dk), fresh(dv)}, d_o, {s.q, s.k, s.v, s.o, s.lse},
                     {env.sequences, env.config.softmax_scale()});
  rope_backward(ctx, dq, env.cos, env.sin, RopeStyle::halves);
  rope_backward(ctx, dk, env.cos, env.sin, RopeStyle::halves);
  const auto grads = [&](const Grad& to, Tensor weight, Tensor bias, Tensor norm) {
    return ProjectionGrads{to, env.grad(weight), env.grad(bias), env.grad(norm)};
  };
  project_heads_backward(env, grads(dx, dw.q_proj, dw.q_bias, dw.q_norm), dq,
                         {s.q_raw, s.q_rstd, s.q}, s.x, w.q_proj, w.q_norm);
  project_heads_backward(env, grads(dx.written(), dw.k_proj, dw.k_bias, dw.k_norm), dk,
                         {s.k_raw, s.k_rstd, s.k}, s.x, w.k_proj, w.k_norm);
  project_heads_backward(env, grads(dx.written(), dw.v_proj, dw.v_bias, {}), dv, {s.v, {}, s.v},
                         s.x, w.v_proj, {});
}

namespace {

// The queries of new tokens after RoPE [N, H, D]; their cache entries are written.
Tensor project_decode(const DecodeEnv& env, Tensor x, const GqaWeights& w) {
  Context& ctx = env.ctx;
  const int64_t rows = x.rows(), d = env.config.head_dim;
  const int64_t q_cols = env.config.num_attention_heads * d;
  const int64_t kv_cols = env.config.num_key_value_heads * d;
  const Tensor all = stacked(stacked(w.q_proj, w.k_proj), w.v_proj);
  GqaSaved s;
  s.x = x;
  if (all.empty() || !w.q_bias.empty() || !w.q_norm.empty()) {
    project_qkv(ctx, env.config, ctx.scratch, s, w, env.cos, env.sin);
    write_entries(ctx, env.cache, env.slots, s);
    return s.q;
  }
  const Tensor q = ctx.scratch.tensor("gqa.q", x.dtype, {rows, env.config.num_attention_heads, d});
  const Tensor out = ctx.scratch.tensor("gqa.qkv", x.dtype, {rows, q_cols + 2 * kv_cols});
  linear_forward(ctx, out, x, all);
  write_gqa_entry(ctx, {.cache = env.cache,
                        .q = q,
                        .q_flat = out.slice_cols(0, q_cols),
                        .k = out.slice_cols(q_cols, kv_cols),
                        .v = out.slice_cols(q_cols + kv_cols, kv_cols),
                        .cos = env.cos,
                        .sin = env.sin,
                        .slots = env.slots});
  return q;
}

}  // namespace

void gqa_decode(const DecodeEnv& env, Tensor stream, Tensor x, const GqaWeights& w) {
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  const int64_t rows = x.rows(), heads = env.config.num_attention_heads;
  const int64_t d = env.config.head_dim;
  const Tensor q = project_decode(env, x, w);                         // [N, H, D]
  Tensor o = ctx.scratch.tensor("gqa.o", x.dtype, {rows, heads, d});  // [N, H, D]
  gqa_decode_attention(ctx, o, q, env.cache, env.rows, env.config.softmax_scale());
  linear_add_forward(ctx, stream, o.reshape({rows, heads * d}), w.o_proj, w.o_bias);
}

}  // namespace temper
