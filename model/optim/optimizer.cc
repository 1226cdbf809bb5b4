#include "model/optim/optimizer.h"

#include <cmath>

#include "model/ops/elementwise.h"

namespace temper {

OptimizerState make_optimizer_state(const OwnedWeights& weights, const OptimizerOptions& options) {
  const Tensor& flat = weights.storage.view;
  const DType dtype = options.bf16_moments ? DType::bf16 : flat.dtype;
  OptimizerState state;
  state.m = allocate(dtype, {flat.numel()}, flat.device);
  state.v = allocate(dtype, {flat.numel()}, flat.device);
  return state;
}

double global_grad_norm(Context& ctx, const OwnedWeights& grads) {
  return std::sqrt(sum_of_squares(ctx, grads.storage.view));
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
  if (options.max_grad_norm > 0.0 && grad_norm > options.max_grad_norm)
    params.grad_scale = options.max_grad_norm / grad_norm;
  adamw_step(ctx, weights.storage.view, state.m.view, state.v.view, grads.storage.view, params);
}

namespace {

void update_bias(Tensor bias, const std::vector<int64_t>& load, double speed) {
  require(bias.numel() == static_cast<int64_t>(load.size()), "a load for each expert");
  double mean = 0.0;
  for (int64_t count : load) mean += static_cast<double>(count);
  mean /= static_cast<double>(load.size());
  for (size_t i = 0; i < load.size(); ++i) {
    const double gap = mean - static_cast<double>(load[i]);
    const double sign = gap > 0.0 ? 1.0 : gap < 0.0 ? -1.0 : 0.0;
    bias.get<float>()[i] += static_cast<float>(speed * sign);
  }
}

}  // namespace

void update_router_biases(ModelWeights& weights, const std::vector<std::vector<int64_t>>& load,
                          double speed) {
  size_t index = 0;
  const auto visit = [&](BlockWeights& block) {
    if (block.moe.gate.empty() || index >= load.size()) return;
    const std::vector<int64_t>& counts = load[index++];
    if (!block.moe.e_score_correction_bias.empty())
      update_bias(block.moe.e_score_correction_bias, counts, speed);
  };
  for (BlockWeights& block : weights.layers) visit(block);
  for (MtpWeights& module : weights.mtp) visit(module.block);
}

}  // namespace temper
