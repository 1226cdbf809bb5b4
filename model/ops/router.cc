#include "model/ops/router.h"

#include "model/ops/check.h"
#include "model/ops/cpu/router.h"
#include "model/ops/cuda/router.h"

namespace temper {
namespace {

void check_params(const RouterParams& params, int64_t experts) {
  const int64_t groups = params.group_limited ? params.n_group : 1;
  const int64_t open = params.group_limited ? params.topk_group : 1;
  require(groups >= 1 && experts % groups == 0, "router: experts do not divide into the groups");
  require(open >= 1 && open <= groups, "router: topk_group is not within 1 .. n_group");
  require(params.top_k >= 1 && params.top_k <= experts / groups * open,
          "router: fewer experts in the open groups than top_k");
}

void check_sequences(std::span<const int32_t> cu_seqlens, int64_t tokens) {
  require(!cu_seqlens.empty() && cu_seqlens.front() == 0 && cu_seqlens.back() == tokens,
          "balance loss: cu_seqlens does not span the tokens");
}

}  // namespace

RouterParams router_params(const ModelConfig& config) {
  RouterParams params;
  params.top_k = config.num_experts_per_tok;
  params.n_group = config.n_group;
  params.topk_group = config.topk_group;
  params.norm_topk_prob = config.norm_topk_prob;
  params.routed_scaling_factor = config.routed_scaling_factor;
  params.scoring_func = config.scoring_func;
  params.group_limited = config.group_limited;
  params.has_correction_bias = config.has_correction_bias;
  return params;
}

void router_forward(Context& ctx, const RouterOutputs& out, Tensor logits, Tensor bias,
                    const RouterParams& params) {
  const int64_t tokens = logits.rows(), experts = logits.cols();
  check_params(params, experts);
  check_alike({logits, out.weights, out.scores});
  check_i32(out.experts, "router: experts");
  check_shape(out.experts, {tokens, params.top_k}, "router: experts");
  check_shape(out.weights, {tokens, params.top_k}, "router: weights");
  check_shape(out.scores, {tokens, experts}, "router: scores");
  if (bias.data) check_shape(bias, {experts}, "router: bias");
  switch (logits.device) {
    case Device::cpu:
      return cpu::router_forward(ctx, out, logits, bias, params);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::router_forward(ctx, out, logits, bias, params);
      no_backend();
  }
}

void router_backward(Context& ctx, const Grad& dlogits, Tensor dweights, const RouterOutputs& saved,
                     const RouterParams& params, const BalanceLoss& balance) {
  const int64_t tokens = saved.scores.rows(), experts = saved.scores.cols();
  check_params(params, experts);
  check_alike({saved.scores, dlogits, dweights});
  if (dlogits.data) check_shape(dlogits, {tokens, experts}, "router: dlogits");
  if (dweights.data) {
    check_i32(saved.experts, "router: experts");
    check_shape(saved.experts, {tokens, params.top_k}, "router: experts");
    check_shape(dweights, {tokens, params.top_k}, "router: dweights");
  }
  if (balance.wanted()) check_sequences(balance.sequences.cu_seqlens, tokens);
  if (balance.sum.data)
    require(balance.sum.dtype == DType::f64 && balance.sum.numel() == 1,
            "balance loss: the sum is not one f64");
  switch (saved.scores.device) {
    case Device::cpu:
      return cpu::router_backward(ctx, to_add(ctx, dlogits), dweights, saved, params, balance);
    case Device::cuda:
      if constexpr (kWithCuda)
        return cuda::router_backward(ctx, dlogits, dweights, saved, params, balance);
      no_backend();
  }
}

void router_bias_step(Context& ctx, std::span<const Tensor> biases, Tensor counts, double speed) {
  check_i32(counts, "router: counts");
  require(counts.contiguous() && counts.rows() == static_cast<int64_t>(biases.size()),
          "router: counts for each layer");
  for (const Tensor& bias : biases) {
    if (bias.empty()) continue;
    require(bias.dtype == DType::f32 && bias.device == counts.device, "router: bias is not f32");
    check_shape(bias, {counts.cols()}, "router: bias");
  }
  switch (counts.device) {
    case Device::cpu:
      return cpu::router_bias_step(ctx, biases, counts, speed);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::router_bias_step(ctx, biases, counts, speed);
      no_backend();
  }
}

}  // namespace temper
