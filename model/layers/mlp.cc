#include "model/layers/mlp.h"

#include "model/ops/elementwise.h"
#include "model/ops/linear.h"
#include "model/ops/swiglu.h"

namespace temper {

void mlp_forward(const LayerEnv& env, Tensor y, MlpSaved* saved, Tensor x, const MlpWeights& w) {
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  Arena& arena = env.arena(saved != nullptr);
  const int64_t tokens = x.rows(), inner = w.down_proj.cols();

  Tensor gate_up = arena.tensor("mlp.gate_up", x.dtype, {tokens, 2 * inner});  // [T, 2I]
  Tensor act = ctx.scratch.tensor("mlp.act", x.dtype, {tokens, inner});        // [T, I]
  linear_forward(ctx, gate_up, x, w.gate_up_proj);
  swiglu_forward(ctx, act, gate_up.slice_cols(0, inner), gate_up.slice_cols(inner, inner));
  linear_forward(ctx, y, act, w.down_proj);

  if (saved != nullptr) *saved = {x, gate_up};
}

void mlp_backward(const LayerEnv& env, Tensor dx, const MlpWeights& dw, Tensor dy,
                  const MlpSaved& saved, const MlpWeights& w) {
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  const int64_t tokens = dy.rows(), inner = w.down_proj.cols();
  Tensor act = ctx.scratch.tensor("mlp.act", dy.dtype, {tokens, inner});                // [T, I]
  Tensor dact = ctx.scratch.tensor("mlp.dact", dy.dtype, {tokens, inner});              // [T, I]
  Tensor dgate_up = ctx.scratch.tensor("mlp.dgate_up", dy.dtype, {tokens, 2 * inner});  // [T, 2I]
  for (Tensor t : {dact, dgate_up}) fill_zero(ctx, t);
  const Tensor gate = saved.gate_up.slice_cols(0, inner);
  const Tensor up = saved.gate_up.slice_cols(inner, inner);

  swiglu_forward(ctx, act, gate, up);
  linear_backward(ctx, {.dx = dact, .dw = dw.down_proj}, dy, act, w.down_proj);
  swiglu_backward(ctx, dgate_up.slice_cols(0, inner), dgate_up.slice_cols(inner, inner), dact, gate,
                  up);
  linear_backward(ctx, {.dx = dx, .dw = dw.gate_up_proj}, dgate_up, saved.x, w.gate_up_proj);
}

}  // namespace temper
