#include "model/layers/mlp.h"

#include "core/named_range.h"
#include "model/ops/gated_linear.h"
#include "model/ops/linear.h"

namespace temper {

void mlp_forward(const LayerEnv& env, Tensor stream, MlpSaved* saved, Tensor x, const MlpWeights& w,
                 Tensor apart) {
  const NamedRange range(env.ctx, "mlp forward");
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  const int64_t tokens = x.rows(), inner = w.down_proj.cols();

  Tensor gate_up;  // [T, 2I]
  if (saved != nullptr)
    gate_up = env.activations.tensor("mlp.gate_up", x.dtype, {tokens, 2 * inner});
  const Tensor act = ctx.scratch.tensor("mlp.act", x.dtype, {tokens, inner});  // [T, I]
  gated_forward(ctx, act, gate_up, x, w.gate_up_proj);
  if (apart.empty()) {
    linear_add_forward(ctx, stream, act, w.down_proj);
  } else {
    linear_forward(ctx, apart, act, w.down_proj);
  }

  if (saved != nullptr) *saved = {x, gate_up};
}

void mlp_hidden_backward(const LayerEnv& env, Tensor dgate_up, const MlpWeights& dw, Tensor dy,
                         const MlpSaved& saved, const MlpWeights& w) {
  const NamedRange range(env.ctx, "mlp backward");
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  const int64_t tokens = dy.rows(), inner = w.down_proj.cols();
  const Tensor act = ctx.scratch.tensor("mlp.act", dy.dtype, {tokens, inner});  // [T, I]

  gated_backward(ctx, {dgate_up, act, {}}, dy, saved.gate_up, w.down_proj);
  linear_backward(ctx, {.dw = env.grad(dw.down_proj)}, dy, act, w.down_proj);
}

void mlp_backward(const LayerEnv& env, const Grad& dx, const MlpWeights& dw, Tensor dy,
                  const MlpSaved& saved, const MlpWeights& w) {
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  const Tensor dgate_up =
      ctx.scratch.tensor("mlp.dgate_up", dy.dtype, {dy.rows(), saved.gate_up.cols()});  // [T, 2I]
  mlp_hidden_backward(env, dgate_up, dw, dy, saved, w);
  linear_backward(ctx, {.dx = dx, .dw = env.grad(dw.gate_up_proj)}, dgate_up, saved.x,
                  w.gate_up_proj);
}

}  // namespace temper
