#include "model/layers/moe.h"

#include "core/device.h"
#include "model/ops/elementwise.h"
#include "model/ops/linear.h"
#include "model/ops/router_replay.h"
#include "model/ops/swiglu.h"

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

// What the experts' products read and what is cheaper to make again in backward than to keep.
struct ExpertInputs {
  Tensor rows;  // [T*K, d]  the input of each sorted row, filled
  Tensor act;   // [T*K, I]  silu(gate) * up, to be filled
};
ExpertInputs expert_inputs(Context& ctx, const MoeSaved& s) {
  const int64_t rows = s.plan.token_of.numel();
  const ExpertInputs in{ctx.scratch.tensor("moe.rows", s.x.dtype, {rows, s.x.cols()}),
                        ctx.scratch.tensor("moe.act", s.x.dtype, {rows, s.gate_up.cols() / 2})};
  gather_rows_forward(ctx, in.rows, s.x, s.plan.token_of);
  return in;
}

}  // namespace

void moe_forward(const LayerEnv& env, Tensor y, MoeSaved* saved, Tensor x, const MoeWeights& w) {
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  Arena& arena = env.arena(saved != nullptr);
  MoeSaved s;
  s.x = x;
  route_tokens(env, arena, s, w);

  const int64_t rows = s.plan.token_of.numel(), d = x.cols(), inner = w.experts_down_proj.dim(2);
  s.gate_up = arena.tensor("moe.gate_up", x.dtype, {rows, 2 * inner});  // [T*K, 2I]
  s.out = arena.tensor("moe.out", x.dtype, {rows, d});                  // [T*K, d]
  const ExpertInputs in = expert_inputs(ctx, s);
  grouped_linear_forward(ctx, s.gate_up, in.rows, w.experts_gate_up_proj, s.plan.offsets);
  swiglu_forward(ctx, in.act, s.gate_up.slice_cols(0, inner), s.gate_up.slice_cols(inner, inner));
  grouped_linear_forward(ctx, s.out, in.act, w.experts_down_proj, s.plan.offsets);

  if (env.config.n_shared_experts > 0) {
    mlp_forward(env, y, saved ? &s.shared : nullptr, x, w.shared_experts);
  } else {
    fill_zero(ctx, y);
  }
  combine_forward(ctx, y, s.out, s.route.weights, s.plan.row_of);
  if (saved != nullptr) *saved = s;
}

void moe_backward(const LayerEnv& env, Tensor dx, const MoeWeights& dw, Tensor dy,
                  const MoeSaved& s, const MoeWeights& w, double balance_coefficient) {
  Context& ctx = env.ctx;
  ArenaScope scope(ctx.scratch);
  const DType dtype = dy.dtype;
  const int64_t tokens = dy.rows(), rows = s.gate_up.rows(), d = dy.cols();
  const int64_t inner = w.experts_down_proj.dim(2), experts = w.gate.dim(0);
  Tensor dweights = ctx.scratch.tensor("moe.dweights", stat_dtype(dtype),
                                       {tokens, s.route.weights.cols()});  // [T, K]
  Tensor dlogits =
      ctx.scratch.tensor("moe.dlogits", stat_dtype(dtype), {tokens, experts});     // [T, E]
  Tensor dout = ctx.scratch.tensor("moe.dout", dtype, {rows, d});                  // [T*K, d]
  Tensor dact = ctx.scratch.tensor("moe.dact", dtype, {rows, inner});              // [T*K, I]
  Tensor dgate_up = ctx.scratch.tensor("moe.dgate_up", dtype, {rows, 2 * inner});  // [T*K, 2I]
  Tensor drows = ctx.scratch.tensor("moe.drows", dtype, {rows, d});                // [T*K, d]
  for (Tensor t : {dweights, dlogits, dout, dact, dgate_up, drows}) fill_zero(ctx, t);

  if (env.config.n_shared_experts > 0)
    mlp_backward(env, dx, dw.shared_experts, dy, s.shared, w.shared_experts);

  // The routed experts, last product first.
  const ExpertInputs in = expert_inputs(ctx, s);
  const Tensor gate = s.gate_up.slice_cols(0, inner), up = s.gate_up.slice_cols(inner, inner);
  swiglu_forward(ctx, in.act, gate, up);
  combine_backward(ctx, dout, dweights, dy, s.out, s.route.weights, s.plan.row_of);
  grouped_linear_backward(ctx, {.dx = dact, .dw = dw.experts_down_proj}, dout, in.act,
                          w.experts_down_proj, s.plan.offsets);
  swiglu_backward(ctx, dgate_up.slice_cols(0, inner), dgate_up.slice_cols(inner, inner), dact, gate,
                  up);
  grouped_linear_backward(ctx, {.dx = drows, .dw = dw.experts_gate_up_proj}, dgate_up, in.rows,
                          w.experts_gate_up_proj, s.plan.offsets);
  gather_rows_backward(ctx, dx, drows, s.plan.row_of);

  // The gate: from the weights of the chosen, and from the balance loss.
  const RouterParams params = router_params(env.config);
  router_backward(ctx, dlogits, dweights, s.route, params);
  if (balance_coefficient != 0.0)
    balance_loss_backward(ctx, dlogits, s.route.scores, env.sequences, balance_coefficient, params);
  linear_backward(ctx, {.dx = dx, .dw = dw.gate}, dlogits, s.x, w.gate);
}

}  // namespace temper
