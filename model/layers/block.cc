#include "model/layers/block.h"

#include "core/device.h"
#include "model/ops/rms_norm.h"

namespace temper {
namespace {

bool is_moe(const BlockWeights& w) {
  return !w.moe.gate.empty();
}

}  // namespace

void block_forward(const LayerEnv& env, Tensor y, BlockSaved* saved, Tensor x,
                   const BlockWeights& w) {
  Context& ctx = env.ctx;
  const ModelConfig& config = env.config;
  ArenaScope scope(ctx.scratch);
  const bool saving = saved != nullptr;
  Arena& arena = env.arena(saving);
  const int64_t tokens = x.rows(), d = x.cols();
  BlockSaved s;
  s.x = x;

  s.x_rstd = arena.tensor("block.x_rstd", stat_dtype(x.dtype), {tokens});
  s.x_mid = arena.tensor("block.x_mid", x.dtype, {tokens, d});
  Tensor normed = arena.tensor("block.normed", x.dtype, {tokens, d});  // [T, d]
  rms_norm_forward(ctx, normed, s.x_rstd, x, w.input_layernorm, config.rms_norm_eps);
  if (config.attention == AttentionKind::mla) {
    mla_forward(env, s.x_mid, x, saving ? &s.mla : nullptr, normed, w.mla);
  } else {
    gqa_forward(env, s.x_mid, x, saving ? &s.gqa : nullptr, normed, w.gqa);
  }

  s.x_mid_rstd = arena.tensor("block.x_mid_rstd", stat_dtype(x.dtype), {tokens});
  Tensor normed_mid = arena.tensor("block.normed_mid", x.dtype, {tokens, d});  // [T, d]
  rms_norm_forward(ctx, normed_mid, s.x_mid_rstd, s.x_mid, w.post_attention_layernorm,
                   config.rms_norm_eps);
  if (is_moe(w)) {
    moe_forward(env, y, s.x_mid, saving ? &s.moe : nullptr, normed_mid, w.moe);
  } else {
    mlp_forward(env, y, s.x_mid, saving ? &s.mlp : nullptr, normed_mid, w.mlp);
  }
  if (saving) *saved = s;
}

void block_backward(const LayerEnv& env, Tensor dx, const BlockWeights& dw, const BlockSaved& s,
                    const BlockWeights& w, double balance_coefficient) {
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  Tensor dnormed = ctx.scratch.tensor("block.dnormed", dx.dtype, {dx.rows(), dx.cols()});

  // Feed-forward: dx is dy and stays the residual's gradient; the norm adds its share.
  if (is_moe(w)) {
    moe_backward(env, fresh(dnormed), dw.moe, dx, s.moe, w.moe, balance_coefficient);
  } else {
    mlp_backward(env, fresh(dnormed), dw.mlp, dx, s.mlp, w.mlp);
  }
  rms_norm_backward(ctx, {dx, env.grad(dw.post_attention_layernorm)}, dnormed, s.x_mid,
                    w.post_attention_layernorm, s.x_mid_rstd);

  // Attention, likewise.
  if (env.config.attention == AttentionKind::mla) {
    mla_backward(env, fresh(dnormed), dw.mla, dx, s.mla, w.mla);
  } else {
    gqa_backward(env, fresh(dnormed), dw.gqa, dx, s.gqa, w.gqa);
  }
  rms_norm_backward(ctx, {dx, env.grad(dw.input_layernorm)}, dnormed, s.x, w.input_layernorm,
                    s.x_rstd);
}

void block_decode(const DecodeEnv& env, Tensor y, Tensor x, const BlockWeights& w) {
  Context& ctx = env.ctx;
  const ModelConfig& config = env.config;
  ArenaScope scope(ctx.scratch);
  Tensor normed = ctx.scratch.tensor("block.normed", x.dtype, {x.rows(), x.cols()});  // [N, d]
  Tensor x_mid = ctx.scratch.tensor("block.x_mid", x.dtype, {x.rows(), x.cols()});    // [N, d]
  rms_norm_forward(ctx, normed, {}, x, w.input_layernorm, config.rms_norm_eps);
  if (config.attention == AttentionKind::mla) {
    mla_decode(env, x_mid, x, normed, w.mla);
  } else {
    gqa_decode(env, x_mid, x, normed, w.gqa);
  }
  rms_norm_forward(ctx, normed, {}, x_mid, w.post_attention_layernorm, config.rms_norm_eps);
  // The feed-forward has no memory of other tokens: the training form without saving serves.
  const LayerEnv ffn_env{ctx, ctx.scratch, config, {}, {}, {}, env.routing};
  if (is_moe(w)) {
    moe_forward(ffn_env, y, x_mid, nullptr, normed, w.moe);
  } else {
    mlp_forward(ffn_env, y, x_mid, nullptr, normed, w.mlp);
  }
}

}  // namespace temper
