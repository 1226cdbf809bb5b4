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
          "balance_loss: cu_seqlens does not span the tokens");
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
                     const RouterParams& params) {
  const int64_t tokens = dlogits.rows(), experts = dlogits.cols();
  check_params(params, experts);
  check_alike({dlogits, dweights, saved.scores});
  check_i32(saved.experts, "router: experts");
  check_shape(saved.experts, {tokens, params.top_k}, "router: experts");
  check_shape(dweights, {tokens, params.top_k}, "router: dweights");
  check_shape(saved.scores, {tokens, experts}, "router: scores");
  switch (dlogits.device) {
    case Device::cpu:
      return cpu::router_backward(ctx, to_add(ctx, dlogits), dweights, saved, params);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::router_backward(ctx, dlogits, dweights, saved, params);
      no_backend();
  }
}

void router_bias_step(Context& ctx, Tensor bias, Tensor counts, double speed) {
  require(bias.dtype == DType::f32 && bias.device == counts.device, "router: bias is not f32");
  check_i32(counts, "router: counts");
  check_shape(counts, {bias.numel()}, "router: counts");
  switch (bias.device) {
    case Device::cpu:
      return cpu::router_bias_step(ctx, bias, counts, speed);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::router_bias_step(ctx, bias, counts, speed);
      no_backend();
  }
}

void balance_loss_forward(Context& ctx, Tensor sum, Tensor scores, const Sequences& sequences,
                          const RouterParams& params) {
  check_params(params, scores.cols());
  check_sequences(sequences.cu_seqlens, scores.rows());
  require(sum.dtype == DType::f64 && sum.numel() == 1, "balance_loss: sum is not one f64");
  switch (scores.device) {
    case Device::cpu:
      return cpu::balance_loss_forward(ctx, sum, scores, sequences, params);
    case Device::cuda:
      if constexpr (kWithCuda)
        return cuda::balance_loss_forward(ctx, sum, scores, sequences, params);
      no_backend();
  }
}

void balance_loss_backward(Context& ctx, Tensor dlogits, Tensor scores, const Sequences& sequences,
                           double coefficient, const RouterParams& params) {
  check_params(params, scores.cols());
  check_sequences(sequences.cu_seqlens, scores.rows());
  check_alike({dlogits, scores});
  check_rows_cols(dlogits, scores.rows(), scores.cols(), "balance_loss: dlogits");
  switch (scores.device) {
    case Device::cpu:
      return cpu::balance_loss_backward(ctx, dlogits, scores, sequences, coefficient, params);
    case Device::cuda:
      if constexpr (kWithCuda)
        return cuda::balance_loss_backward(ctx, dlogits, scores, sequences, coefficient, params);
      no_backend();
  }
}

}  // namespace temper
