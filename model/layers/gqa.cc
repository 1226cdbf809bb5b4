#include "model/layers/gqa.h"

#include <array>

#include "core/device.h"
#include "core/named_range.h"
#include "model/layers/stacked.h"
#include "model/ops/attention.h"
#include "model/ops/cache_entry.h"
#include "model/ops/elementwise.h"
#include "model/ops/gqa_heads.h"
#include "model/ops/linear.h"
#include "model/ops/permute.h"
#include "model/ops/rms_norm.h"
#include "model/ops/rope.h"

namespace temper {
namespace {

// Queries, keys and values are one projection of x, its rows those of q_proj, k_proj and v_proj.
using Parts = std::array<Tensor, 3>;

Parts weights_of(const GqaWeights& w) {
  return {w.q_proj, w.k_proj, w.v_proj};
}
Parts biases_of(const GqaWeights& w) {
  return {w.q_bias, w.k_bias, w.v_bias};
}

int64_t rows_of(const Tensor& part) {  // of a weight, numbers of a bias
  return part.rank == 1 ? part.numel() : part.rows();
}
Tensor part_of(const Tensor& all, int64_t begin, int64_t count) {
  return all.rank == 1 ? all.slice_cols(begin, count) : all.slice_rows(begin, count);
}
Tensor room_for(Context& ctx, const Parts& parts) {
  const int64_t rows = rows_of(parts[0]) + rows_of(parts[1]) + rows_of(parts[2]);
  const DType dtype = parts[0].dtype;
  if (parts[0].rank == 1) return ctx.scratch.tensor("gqa.joined", dtype, {rows});
  return ctx.scratch.tensor("gqa.joined", dtype, {rows, parts[0].cols()});
}

// The three as one tensor: where they lie, or a copy if they do not lie one behind another, as
// those of odd sizes. In the caller's scope; empty where there are none.
Tensor joined(Context& ctx, const Parts& parts) {
  if (parts[0].empty()) return {};
  const Tensor lying = stacked(stacked(parts[0], parts[1]), parts[2]);
  if (!lying.empty()) return lying;
  const Tensor copied = room_for(ctx, parts);
  int64_t begin = 0;
  for (const Tensor& part : parts) {
    copy(ctx, part_of(copied, begin, rows_of(part)), part);
    begin += rows_of(part);
  }
  return copied;
}

// The three gradients as one, and what it takes to hand a copy's parts on.
struct JoinedGrad {
  Grad all;
  Parts parts;
  bool copied = false, fresh_parts = false;

  JoinedGrad(const LayerEnv& env, const Parts& to) : parts(to), fresh_parts(env.fresh_weights) {
    if (to[0].empty()) return;
    const Tensor lying = stacked(stacked(to[0], to[1]), to[2]);
    copied = lying.empty();
    all = copied ? fresh(room_for(env.ctx, to)) : env.grad(lying);
  }
  void hand_on(Context& ctx) const {
    int64_t begin = 0;
    for (const Tensor& part : parts) {
      if (!copied) return;
      const Tensor from = part_of(all, begin, rows_of(part));
      fresh_parts ? copy(ctx, part, from) : add(ctx, part, from);
      begin += rows_of(part);
    }
  }
};

// q, k, v of the rows, q and k after RoPE.
void project_qkv(Context& ctx, const ModelConfig& config, Arena& arena, GqaSaved& s,
                 const GqaWeights& w, Tensor cos, Tensor sin) {
  const int64_t tokens = s.x.rows(), heads = config.num_attention_heads;
  const int64_t kv_heads = config.num_key_value_heads, d = config.head_dim;
  const DType dtype = s.x.dtype;
  s.q = arena.tensor("gqa.q", dtype, {tokens, heads, d});
  s.k = arena.tensor("gqa.k", dtype, {tokens, kv_heads, d});
  s.v = arena.tensor("gqa.v", dtype, {tokens, kv_heads, d});
  const bool normed = !w.q_norm.empty();
  if (normed) {
    s.q_raw = arena.tensor("gqa.q_raw", dtype, {tokens, heads, d});
    s.k_raw = arena.tensor("gqa.k_raw", dtype, {tokens, kv_heads, d});
    s.q_rstd = arena.tensor("gqa.q_rstd", stat_dtype(dtype), {tokens * heads});
    s.k_rstd = arena.tensor("gqa.k_rstd", stat_dtype(dtype), {tokens * kv_heads});
  }
  {
    ArenaScope scope(ctx.scratch);
    const Tensor qkv = ctx.scratch.tensor("gqa.qkv", dtype, {tokens, (heads + 2 * kv_heads) * d});
    linear_forward(ctx, qkv, s.x, joined(ctx, weights_of(w)));
    const Tensor bias = joined(ctx, biases_of(w));
    if (!normed) return gqa_heads_forward(ctx, {s.q, s.k, s.v, qkv, bias, cos, sin});
    gqa_heads_forward(ctx, {s.q_raw, s.k_raw, s.v, qkv, bias, {}, {}});
  }
  rms_norm_forward(ctx, s.q, {s.q_rstd}, s.q_raw, w.q_norm, config.rms_norm_eps);
  rms_norm_forward(ctx, s.k, {s.k_rstd}, s.k_raw, w.k_norm, config.rms_norm_eps);
  rope_forward(ctx, s.q, cos, sin, RopeStyle::halves);
  rope_forward(ctx, s.k, cos, sin, RopeStyle::halves);
}

// The gradients of the heads: dq and dk after RoPE, used as scratch.
struct HeadGradients {
  Tensor dq, dk, dv;
};
// The way back from the heads to x.
void project_qkv_backward(const LayerEnv& env, const Grad& dx, const GqaWeights& dw,
                          const HeadGradients& g, const GqaSaved& s, const GqaWeights& w) {
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  const int64_t tokens = g.dq.dim(0), width = g.dq.dim(1) * g.dq.cols(),
                kv_width = g.dk.dim(1) * g.dk.cols();
  const Tensor dqkv = ctx.scratch.tensor("gqa.dqkv", g.dq.dtype, {tokens, width + 2 * kv_width});
  const JoinedGrad dbias(env, biases_of(dw)), dweight(env, weights_of(dw));
  if (w.q_norm.empty()) {
    gqa_heads_backward(ctx, {dqkv, dbias.all, g.dq, g.dk, g.dv, env.cos, env.sin});
  } else {
    rope_backward(ctx, g.dq, env.cos, env.sin, RopeStyle::halves);
    rope_backward(ctx, g.dk, env.cos, env.sin, RopeStyle::halves);
    const auto shaped = [&](const Tensor& like) {
      return ctx.scratch.tensor("gqa.draw", like.dtype, {tokens, like.dim(1), like.cols()});
    };
    const Tensor dq_raw = shaped(g.dq), dk_raw = shaped(g.dk);
    rms_norm_backward(ctx, {fresh(dq_raw), env.grad(dw.q_norm)}, g.dq, s.q_raw, w.q_norm, s.q_rstd);
    rms_norm_backward(ctx, {fresh(dk_raw), env.grad(dw.k_norm)}, g.dk, s.k_raw, w.k_norm, s.k_rstd);
    gqa_heads_backward(ctx, {dqkv, dbias.all, dq_raw, dk_raw, g.dv, {}, {}});
  }
  linear_backward(ctx, {.dx = dx, .dw = dweight.all}, dqkv, s.x, joined(ctx, weights_of(w)));
  dweight.hand_on(ctx);
  dbias.hand_on(ctx);
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
  project_qkv_backward(env, dx, dw, {dq, dk, dv}, s, w);
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
