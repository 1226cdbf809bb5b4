#include "model/layers/mlp.h"

#include "model/ops/elementwise.h"
#include "model/ops/linear.h"
#include "model/ops/swiglu.h"

namespace temper {

void mlp_forward(const LayerEnv& env, Tensor y, MlpSaved* saved, Tensor x, const MlpWeights& w) {
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  Arena& arena = env.arena(saved != nullptr);
  const int64_t tokens = x.rows(), inner = w.gate_proj.dim(0);

  Tensor gate = arena.tensor("mlp.gate", x.dtype, {tokens, inner});      // [T, I]
  Tensor up = arena.tensor("mlp.up", x.dtype, {tokens, inner});          // [T, I]
  Tensor act = ctx.scratch.tensor("mlp.act", x.dtype, {tokens, inner});  // [T, I]
  linear_forward(ctx, gate, x, w.gate_proj);
  linear_forward(ctx, up, x, w.up_proj);
  swiglu_forward(ctx, act, gate, up);
  linear_forward(ctx, y, act, w.down_proj);

  if (saved != nullptr) *saved = {x, gate, up};
}

void mlp_backward(const LayerEnv& env, Tensor dx, const MlpWeights& dw, Tensor dy,
                  const MlpSaved& saved, const MlpWeights& w) {
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  const int64_t tokens = dy.rows(), inner = w.gate_proj.dim(0);
  Tensor dact = ctx.scratch.tensor("mlp.dact", dy.dtype, {tokens, inner});    // [T, I]
  Tensor dgate = ctx.scratch.tensor("mlp.dgate", dy.dtype, {tokens, inner});  // [T, I]
  Tensor dup = ctx.scratch.tensor("mlp.dup", dy.dtype, {tokens, inner});      // [T, I]
  Tensor act = ctx.scratch.tensor("mlp.act", dy.dtype, {tokens, inner});      // [T, I]
  for (Tensor t : {dact, dgate, dup}) fill_zero(ctx, t);

  swiglu_forward(ctx, act, saved.gate, saved.up);
  linear_backward(ctx, {.dx = dact, .dw = dw.down_proj}, dy, act, w.down_proj);
  swiglu_backward(ctx, dgate, dup, dact, saved.gate, saved.up);
  linear_backward(ctx, {.dx = dx, .dw = dw.up_proj}, dup, saved.x, w.up_proj);
  linear_backward(ctx, {.dx = dx, .dw = dw.gate_proj}, dgate, saved.x, w.gate_proj);
}

}  // namespace temper
