#include "model/ops/head.h"

#include "model/ops/check.h"
#include "model/ops/cuda/head_gemm_hopper.h"
#include "model/ops/cuda/head_linear.h"
#include "model/ops/keep_logits.h"

namespace temper {
namespace {

// The logits that count, in scratch memory of the caller's scope.
Tensor make_logits(Context& ctx, const Tensor& hidden, const Tensor& lm_head,
                   const HeadTargets& targets) {
  const Tensor logits = ctx.scratch.tensor("head.logits", stat_dtype(hidden.dtype),
                                           {hidden.rows(), lm_head.dim(0)});  // [T, V]
  linear_forward(ctx, logits, hidden, lm_head);
  if (!targets.kept_begin.empty()) keep_logits(ctx, logits, targets.kept_begin, targets.kept_ids);
  return logits;
}

}  // namespace

bool head_without_logits(const Context& ctx, const Tensor& hidden, const Tensor& lm_head,
                         const HeadTargets& targets) {
  if (hidden.device != Device::cuda || !targets.kept_begin.empty()) return false;
  if constexpr (kWithCuda) return cuda::head_fits_hopper(ctx, hidden, lm_head);
  no_backend();
}

void head_log_prob_forward(Context& ctx, const LogProbOutputs& out, Tensor hidden, Tensor lm_head,
                           const HeadTargets& targets) {
  check_alike({hidden, lm_head, out.logprob, out.entropy, out.lse});
  ArenaScope scope(ctx.scratch);
  if constexpr (kWithCuda)
    if (head_without_logits(ctx, hidden, lm_head, targets))
      return cuda::head_log_prob_forward_hopper(ctx, out, hidden, lm_head, targets);
  log_prob_forward(ctx, out, make_logits(ctx, hidden, lm_head, targets), targets.targets,
                   targets.temperature);
}

void head_log_prob_backward(Context& ctx, const LinearGrads& grads, const HeadGradients& gradients,
                            Tensor hidden, Tensor lm_head, const HeadTargets& targets) {
  check_alike({hidden, lm_head, grads.dx, grads.dw, gradients.dlogprob, gradients.dentropy});
  ArenaScope scope(ctx.scratch);
  if constexpr (kWithCuda) {
    if (head_without_logits(ctx, hidden, lm_head, targets)) {
      const Tensor dlogits = ctx.scratch.tensor("head.dlogits", hidden.dtype,
                                                {hidden.rows(), lm_head.dim(0)});  // [T, V]
      cuda::head_log_prob_backward_hopper(ctx, dlogits, gradients, hidden, lm_head, targets);
      return linear_backward(ctx, grads, dlogits, hidden, lm_head);
    }
  }
  const Tensor logits = make_logits(ctx, hidden, lm_head, targets);
  log_prob_backward(ctx, logits, gradients.dlogprob, gradients.dentropy, gradients.saved,
                    targets.targets, targets.temperature);
  linear_backward(ctx, grads, logits, hidden, lm_head);
}

void head_log_prob_linear(Context& ctx, const LogProbOutputs& out, const LinearGrads& grads,
                          Tensor dlogprob, Tensor hidden, Tensor lm_head,
                          const HeadTargets& targets) {
  check_alike({hidden, lm_head, out.logprob, out.entropy, out.lse, grads.dx, grads.dw, dlogprob});
  ArenaScope scope(ctx.scratch);
  if constexpr (kWithCuda)
    if (head_without_logits(ctx, hidden, lm_head, targets))
      return cuda::head_log_prob_linear_hopper(ctx, out, grads, dlogprob, hidden, lm_head, targets);
  const Tensor logits = make_logits(ctx, hidden, lm_head, targets);
  log_prob_forward(ctx, out, logits, targets.targets, targets.temperature);
  log_prob_backward(ctx, logits, dlogprob, {}, out, targets.targets, targets.temperature);
  linear_backward(ctx, grads, logits, hidden, lm_head);
}

}  // namespace temper
