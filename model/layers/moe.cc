#include "model/layers/moe.h"

#include "core/device.h"
#include "core/named_range.h"
#include "model/layers/stacked.h"
#include "model/ops/elementwise.h"
#include "model/ops/gated_linear.h"
#include "model/ops/linear.h"
#include "model/ops/router_replay.h"

namespace temper {
namespace {

// The gate: which experts each token goes to, with what weight, and in what order rows are kept.
void route_tokens(const LayerEnv& env, Arena& arena, MoeSaved& s, const MoeWeights& w) {
  const int64_t tokens = s.x.rows(), experts = w.gate.dim(0);
  const int64_t top_k = env.config.num_experts_per_tok;
  const DType dtype = s.x.dtype;
  Tensor logits =
      env.ctx.scratch.tensor("moe.logits", stat_dtype(dtype), {tokens, experts});     // [T, E]
  s.route.experts = arena.tensor("moe.experts", DType::i32, {tokens, top_k});         // [T, K]
  s.route.weights = arena.tensor("moe.weights", stat_dtype(dtype), {tokens, top_k});  // [T, K]
  s.route.scores = arena.tensor("moe.scores", stat_dtype(dtype), {tokens, experts});  // [T, E]
  linear_forward(env.ctx, logits, s.x, w.gate);
  const RouterParams params = router_params(env.config);
  router_forward(env.ctx, s.route, logits, w.e_score_correction_bias, params);
  if (!env.routing.forced.empty())
    router_replay(env.ctx, s.route, env.routing.forced, env.routing.differing, params);
  if (!env.routing.record.empty()) copy(env.ctx, env.routing.record, s.route.experts);

  s.plan.row_of = arena.tensor("moe.row_of", DType::i32, {tokens, top_k});
  s.plan.token_of = arena.tensor("moe.token_of", DType::i32, {tokens * top_k});
  s.plan.offsets = arena.tensor("moe.offsets", DType::i32, {experts + 1});
  plan_experts(env.ctx, s.plan, s.route.experts);
}

// The routed experts' way back. With z = weight * silu(gate) * up their output is W_down z, so that
// the weights' gradient needs no output: dweight = (W_down^T dy) . silu(gate) up.
void experts_backward(const LayerEnv& env, Tensor drows, const Grad& dweights, const MoeWeights& dw,
                      Tensor dy, const MoeSaved& s, const MoeWeights& w) {
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  const int64_t rows = s.gate_up.rows(), inner = s.gate_up.cols() / 2;
  const PickedRows x(s.x, s.plan.token_of, s.plan.row_of);  // [T*K, d]
  const Tensor dgate_up =
      ctx.scratch.tensor("moe.dgate_up", dy.dtype, {rows, 2 * inner});  // [T*K, 2I]
  {
    ArenaScope of_output(ctx.scratch);
    const Tensor z = ctx.scratch.tensor("moe.act", dy.dtype, {rows, inner});  // [T*K, I]
    PickedRows dout(dy, s.plan.token_of, s.plan.row_of);                      // [T*K, d]
    if (better_laid_out(dout, inner)) dout = laid_out(ctx, dout);             // for both products
    grouped_gated_backward(
        ctx, {dgate_up, z, dweights}, dout,
        {s.gate_up, w.experts_down_proj, s.plan.offsets, {s.route.weights, s.plan.row_of}});
    grouped_linear_backward(ctx, {.dw = env.grad(dw.experts_down_proj)}, dout, z,
                            w.experts_down_proj, s.plan.offsets);
  }
  grouped_linear_backward(ctx, {.dx = fresh(drows)}, dgate_up, drows, w.experts_gate_up_proj,
                          s.plan.offsets);
  grouped_linear_backward(ctx, {.dw = env.grad(dw.experts_gate_up_proj)}, dgate_up, x,
                          w.experts_gate_up_proj, s.plan.offsets);
}

// Whether the shared experts' output is rounded like the others' and added with them. A product
// with so short an inner dimension takes less time than the wide stream's way in and out of memory.
bool narrows_shared(const MoeWeights& w, const Tensor& stream, const Tensor& x) {
  constexpr int64_t kShort = 1024;
  return stream.dtype != x.dtype && w.shared_experts.down_proj.cols() < kShort;
}

}  // namespace

void moe_forward(const LayerEnv& env, Tensor stream, MoeSaved* saved, Tensor x, const MoeWeights& w,
                 const NormAfter& norm) {
  const NamedRange range(env.ctx, "moe forward");
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  Arena& arena = env.arena(saved != nullptr);
  MoeSaved s;
  s.x = x;
  route_tokens(env, arena, s, w);

  const int64_t rows = s.plan.token_of.numel(), inner = w.experts_down_proj.dim(2);
  const Tensor act = ctx.scratch.tensor("moe.act", x.dtype, {rows, inner});     // [T*K, I]
  const Tensor out = ctx.scratch.tensor("moe.out", x.dtype, {rows, x.cols()});  // [T*K, d]
  if (saved == nullptr) {
    gather_rows_forward(ctx, out, x, s.plan.token_of);
    grouped_gated_forward(ctx, act, {}, out, w.experts_gate_up_proj, s.plan.offsets);
  } else {
    s.gate_up = arena.tensor("moe.gate_up", x.dtype, {rows, 2 * inner});  // [T*K, 2I]
    grouped_gated_forward(ctx, act, s.gate_up, {x, s.plan.token_of, s.plan.row_of},
                          w.experts_gate_up_proj, s.plan.offsets);
  }
  // Sorted inputs have been read: the experts' outputs take their place.
  grouped_linear_forward(ctx, out, act, w.experts_down_proj, s.plan.offsets);

  Combined sum{out, s.route.weights, s.plan.row_of};
  if (env.config.n_shared_experts > 0) {
    if (narrows_shared(w, stream, x))
      sum.plus = ctx.scratch.tensor("moe.shared", x.dtype, {x.rows(), x.cols()});  // [T, d]
    mlp_forward(env, stream, saved ? &s.shared : nullptr, x, w.shared_experts, sum.plus);
  }
  if (norm.normed.empty()) {
    combine_forward(ctx, stream, sum);
  } else {
    combine_norm_forward(ctx, stream, sum, norm);
  }
  if (saved != nullptr) *saved = s;
}

void moe_backward(const LayerEnv& env, const MoeInputGrads& dx, const MoeWeights& dw, Tensor dy,
                  const MoeSaved& s, const MoeWeights& w, const BalanceLoss& balance) {
  const NamedRange range(env.ctx, "moe backward");
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  const DType wide = stat_dtype(dy.dtype);
  const int64_t tokens = dy.rows(), experts = w.gate.dim(0);
  const Tensor dweights =
      ctx.scratch.tensor("moe.dweights", wide, {tokens, s.route.weights.cols()});  // [T, K]

  experts_backward(env, dx.rows, fresh(dweights), dw, dy, s, w);
  // Left of the shared experts' gradient, so that one product takes both back to x: the gate's,
  // from the weights of the chosen and from the balance loss.
  const int64_t shared = env.config.n_shared_experts > 0 ? s.shared.gate_up.cols() : 0;
  const Tensor both = ctx.scratch.tensor("moe.dlogits", dy.dtype, {tokens, experts + shared});
  const Tensor dlogits = both.slice_cols(0, experts);  // [T, E]
  BalanceLoss of_layer = balance;
  of_layer.sequences = env.sequences;
  router_backward(ctx, fresh(dlogits), dweights, s.route, router_params(env.config), of_layer);
  if (shared == 0)
    return linear_backward(ctx, {.dx = dx.dx, .dw = env.grad(dw.gate)}, dlogits, s.x, w.gate);
  const Tensor dgate_up = both.slice_cols(experts, shared);  // [T, 2I]
  mlp_hidden_backward(env, dgate_up, dw.shared_experts, dy, s.shared, w.shared_experts);
  const Tensor weights = stacked(w.gate, w.shared_experts.gate_up_proj);
  const Tensor dweight = stacked(dw.gate, dw.shared_experts.gate_up_proj);
  if (!weights.empty() && !dweight.empty())
    return linear_backward(ctx, {.dx = dx.dx, .dw = env.grad(dweight)}, both, s.x, weights);
  linear_backward(ctx, {.dx = dx.dx, .dw = env.grad(dw.shared_experts.gate_up_proj)}, dgate_up, s.x,
                  w.shared_experts.gate_up_proj);
  linear_backward(ctx, {.dx = dx.dx.written(), .dw = env.grad(dw.gate)}, dlogits, s.x, w.gate);
}

}  // namespace temper
