#include "model/optim/optimizer.h"

#include <cmath>

#include "core/device.h"
#include "model/ops/router.h"
#include "model/optim/loss_scale.h"

namespace temper {

OptimizerState make_optimizer_state(Context& ctx, const OwnedWeights& weights,
                                    const OptimizerOptions& options) {
  const Tensor& flat = weights.storage.view;
  const DType wide = stat_dtype(flat.dtype);
  const DType dtype = options.bf16_moments ? DType::bf16 : wide;
  OptimizerState state;
  if (wide != flat.dtype) state.low = allocate(DType::u8, {flat.numel(), 2}, ctx.device);
  state.m = allocate(dtype, {flat.numel()}, ctx.device);
  state.v = allocate(dtype, {flat.numel()}, ctx.device);
  if (flat.dtype == DType::f16) {
    state.loss_scale = allocate(DType::f64, {3});
    LossScale(state.loss_scale.view).reset();
  }
  state.squares = allocate(DType::f64, {1}, ctx.device);
  return state;
}

double global_grad_norm(Context& ctx, const OwnedWeights& grads, const GradientSquares& squares) {
  return std::sqrt(sum_of_squares(ctx, grads.storage.view, squares));
}

double update_norm(Context& ctx, const OptimizerState& state) {
  return std::sqrt(download_doubles(ctx, state.squares.view)[0]);
}

void optimizer_step(Context& ctx, OwnedWeights& weights, OptimizerState& state,
                    const OwnedWeights& grads, double grad_norm, double lr,
                    const OptimizerOptions& options) {
  AdamWParams params;
  params.lr = lr;
  params.beta1 = options.beta1;
  params.beta2 = options.beta2;
  params.eps = options.eps;
  params.weight_decay = options.weight_decay;
  params.step = ++state.step;
  params.grad_scale = 1.0 / LossScale(state.loss_scale.view).factor();
  if (options.max_grad_norm > 0.0 && grad_norm > options.max_grad_norm)
    params.grad_scale *= options.max_grad_norm / grad_norm;
  const Tensor& flat = weights.storage.view;
  adamw_step(
      ctx,
      {flat, state.m.view, state.v.view, grads.storage.view, state.low.view, state.squares.view},
      params);
}

void update_router_biases(Context& ctx, ModelWeights& weights, Tensor load, double speed) {
  std::vector<Tensor> biases;
  const auto visit = [&](const BlockWeights& block) {
    if (block.moe.gate.empty() || static_cast<int64_t>(biases.size()) >= load.dim(0)) return;
    biases.push_back(block.moe.e_score_correction_bias);
  };
  for (const BlockWeights& block : weights.layers) visit(block);
  for (const MtpWeights& module : weights.mtp) visit(module.block);
  if (!biases.empty())
    router_bias_step(ctx, biases, load.slice_rows(0, static_cast<int64_t>(biases.size())), speed);
}

}  // namespace temper
