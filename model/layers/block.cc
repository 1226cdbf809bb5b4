#include "model/layers/block.h"

#include "core/device.h"
#include "model/ops/rms_norm.h"

namespace temper {
namespace {

bool is_moe(const BlockWeights& w) {
  return !w.moe.gate.empty();
}

// The stream's norm [T, d] in the activations' dtype; with saving, `kept` gets what backward needs.
struct NormKept {
  Tensor &x, &rstd;  // [T, d], [T]
};
Tensor norm_stream(const LayerEnv& env, bool saving, const NormKept& kept, Tensor stream,
                   Tensor weight) {
  Arena& arena = env.arena(saving);
  const int64_t tokens = stream.rows(), d = stream.cols();
  if (saving) {
    kept.x = arena.tensor("block.x", weight.dtype, {tokens, d});
    kept.rstd = arena.tensor("block.rstd", stream.dtype, {tokens});
  }
  const Tensor normed = arena.tensor("block.normed", weight.dtype, {tokens, d});
  rms_norm_forward(env.ctx, normed, {kept.rstd, kept.x}, stream, weight, env.config.rms_norm_eps);
  return normed;
}

}  // namespace

void block_forward(const LayerEnv& env, Tensor stream, BlockSaved* saved, const BlockWeights& w) {
  ArenaScope scope(env.ctx.scratch);
  const bool saving = saved != nullptr;
  BlockSaved s;
  const Tensor normed = norm_stream(env, saving, {s.x, s.x_rstd}, stream, w.input_layernorm);
  if (env.config.attention == AttentionKind::mla) {
    mla_forward(env, stream, saving ? &s.mla : nullptr, normed, w.mla);
  } else {
    gqa_forward(env, stream, saving ? &s.gqa : nullptr, normed, w.gqa);
  }
  const Tensor normed_mid =
      norm_stream(env, saving, {s.x_mid, s.x_mid_rstd}, stream, w.post_attention_layernorm);
  if (is_moe(w)) {
    moe_forward(env, stream, saving ? &s.moe : nullptr, normed_mid, w.moe);
  } else {
    mlp_forward(env, stream, saving ? &s.mlp : nullptr, normed_mid, w.mlp);
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

void block_decode(const DecodeEnv& env, Tensor stream, const BlockWeights& w) {
  Context& ctx = env.ctx;
  const ModelConfig& config = env.config;
  ArenaScope scope(ctx.scratch);
  const Tensor normed = ctx.scratch.tensor("block.normed", w.input_layernorm.dtype,
                                           {stream.rows(), stream.cols()});  // [N, d]
  rms_norm_forward(ctx, normed, {}, stream, w.input_layernorm, config.rms_norm_eps);
  if (config.attention == AttentionKind::mla) {
    mla_decode(env, stream, normed, w.mla);
  } else {
    gqa_decode(env, stream, normed, w.gqa);
  }
  rms_norm_forward(ctx, normed, {}, stream, w.post_attention_layernorm, config.rms_norm_eps);
  // The feed-forward has no memory of other tokens: the training form without saving serves.
  const LayerEnv ffn_env{ctx, ctx.scratch, config, {}, {}, {}, env.routing};
  if (is_moe(w)) {
    moe_forward(ffn_env, stream, nullptr, normed, w.moe);
  } else {
    mlp_forward(ffn_env, stream, nullptr, normed, w.mlp);
  }
}

}  // namespace temper
