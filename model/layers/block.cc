#include "model/layers/block.h"

#include "core/device.h"
#include "model/ops/rms_norm.h"

namespace temper {
namespace {

bool is_moe(const BlockWeights& w) {
  return !w.moe.gate.empty();
}

// The norm of the stream, in its place.
void norm_stream(const LayerEnv& env, const StreamNorm& to, Tensor stream, Tensor weight) {
  rms_norm_forward(env.ctx, to.normed, {to.rstd, to.x}, stream, weight, env.config.rms_norm_eps);
}

}  // namespace

StreamNorm make_stream_norm(Arena& arena, bool saving, Tensor stream, DType dtype) {
  const int64_t tokens = stream.rows(), d = stream.cols();
  StreamNorm norm;
  if (saving) {
    norm.x = arena.tensor("block.x", dtype, {tokens, d});
    norm.rstd = arena.tensor("block.rstd", stream.dtype, {tokens});
  }
  norm.normed = arena.tensor("block.normed", dtype, {tokens, d});
  return norm;
}

void block_forward(const LayerEnv& env, Tensor stream, BlockSaved* saved, const BlockWeights& w) {
  ArenaScope scope(env.ctx.scratch);
  const bool saving = saved != nullptr;
  const StreamNorm norm =
      make_stream_norm(env.arena(saving), saving, stream, w.input_layernorm.dtype);
  norm_stream(env, norm, stream, w.input_layernorm);
  block_forward(env, stream, saved, w, norm, {});
}

void block_forward(const LayerEnv& env, Tensor stream, BlockSaved* saved, const BlockWeights& w,
                   const StreamNorm& norm, const NextNorm& next) {
  ArenaScope scope(env.ctx.scratch);
  const bool saving = saved != nullptr;
  BlockSaved s;
  s.x = norm.x, s.x_rstd = norm.rstd;
  if (env.config.attention == AttentionKind::mla) {
    mla_forward(env, stream, saving ? &s.mla : nullptr, norm.normed, w.mla);
  } else {
    gqa_forward(env, stream, saving ? &s.gqa : nullptr, norm.normed, w.gqa);
  }
  const StreamNorm mid =
      make_stream_norm(env.arena(saving), saving, stream, w.input_layernorm.dtype);
  norm_stream(env, mid, stream, w.post_attention_layernorm);
  s.x_mid = mid.x, s.x_mid_rstd = mid.rstd;
  if (is_moe(w)) {
    moe_forward(env, stream, saving ? &s.moe : nullptr, mid.normed, w.moe,
                {next.weight, next.to.normed, {next.to.rstd, next.to.x}, env.config.rms_norm_eps});
  } else {
    mlp_forward(env, stream, saving ? &s.mlp : nullptr, mid.normed, w.mlp);
    if (!next.to.normed.empty()) norm_stream(env, next.to, stream, next.weight);
  }
  if (saving) *saved = s;
}

void block_backward(const LayerEnv& env, Tensor dx, const BlockWeights& dw, const BlockSaved& s,
                    const BlockWeights& w, const BalanceLoss& balance) {
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  Tensor dnormed = ctx.scratch.tensor("block.dnormed", dx.dtype, {dx.rows(), dx.cols()});

  // Feed-forward: dx is dy and stays the residual's gradient; the norm adds its share.
  {
    ArenaScope ffn_scope(ctx.scratch);
    ChosenRows chosen;  // [T*K, d]
    if (is_moe(w)) {
      chosen = {
          ctx.scratch.tensor("block.dchosen", dx.dtype, {s.moe.plan.token_of.numel(), dx.cols()}),
          s.moe.plan.row_of};
      moe_backward(env, {fresh(dnormed), chosen.rows}, dw.moe, dx, s.moe, w.moe, balance);
    } else {
      mlp_backward(env, fresh(dnormed), dw.mlp, dx, s.mlp, w.mlp);
    }
    rms_norm_backward(ctx, {dx, env.grad(dw.post_attention_layernorm)}, dnormed, s.x_mid,
                      w.post_attention_layernorm, s.x_mid_rstd, chosen);
  }

  // Attention, likewise.
  if (env.config.attention == AttentionKind::mla) {
    mla_backward(env, fresh(dnormed), dw.mla, dx, s.mla, w.mla);
  } else {
    gqa_backward(env, fresh(dnormed), dw.gqa, dx, s.gqa, w.gqa);
  }
  rms_norm_backward(ctx, {dx, env.grad(dw.input_layernorm)}, dnormed, s.x, w.input_layernorm,
                    s.x_rstd);
}

void block_decode(const DecodeEnv& env, Tensor stream, const BlockWeights& w, Tensor normed,
                  const NextNorm& next) {
  Context& ctx = env.ctx;
  const ModelConfig& config = env.config;
  ArenaScope scope(ctx.scratch);
  if (config.attention == AttentionKind::mla) {
    mla_decode(env, stream, normed, w.mla);
  } else {
    gqa_decode(env, stream, normed, w.gqa);
  }
  const Tensor mid =
      ctx.scratch.tensor("block.normed", normed.dtype, {stream.rows(), stream.cols()});  // [N, d]
  rms_norm_forward(ctx, mid, {}, stream, w.post_attention_layernorm, config.rms_norm_eps);
  // The feed-forward has no memory of other tokens: the training form without saving serves.
  const LayerEnv ffn_env{ctx, ctx.scratch, config, {}, {}, {}, env.routing};
  if (is_moe(w)) {
    moe_forward(ffn_env, stream, nullptr, mid, w.moe,
                {next.weight, next.to.normed, {}, config.rms_norm_eps});
  } else {
    mlp_forward(ffn_env, stream, nullptr, mid, w.mlp);
    rms_norm_forward(ctx, next.to.normed, {}, stream, next.weight, config.rms_norm_eps);
  }
}

}  // namespace temper
