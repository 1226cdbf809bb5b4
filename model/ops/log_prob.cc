#include "model/ops/log_prob.h"

#include "model/ops/check.h"
#include "model/ops/cpu/log_prob.h"
#include "model/ops/cuda/log_prob.h"

namespace temper {
namespace {

void check_log_prob(const LogProbOutputs& out, const Tensor& logits, const Tensor& targets,
                    double temperature) {
  check_alike({logits, out.logprob, out.entropy, out.lse});
  check_i32(targets, "log_prob: targets");
  check_shape(targets, {logits.rows()}, "log_prob: targets");
  check_shape(out.lse, {logits.rows()}, "log_prob: lse");
  if (out.entropy.data) check_shape(out.entropy, {logits.rows()}, "log_prob: entropy");
  require(temperature > 0.0, "log_prob: the temperature is not positive");
}

}  // namespace

void log_prob_forward(Context& ctx, const LogProbOutputs& out, Tensor logits, Tensor targets,
                      double temperature) {
  check_log_prob(out, logits, targets, temperature);
  check_shape(out.logprob, {logits.rows()}, "log_prob: logprob");
  switch (logits.device) {
    case Device::cpu:
      return cpu::log_prob_forward(ctx, out, logits, targets, temperature);
    case Device::cuda:
      if constexpr (kWithCuda)
        return cuda::log_prob_forward(ctx, out, logits, targets, temperature);
      no_backend();
  }
}

void log_prob_backward(Context& ctx, Tensor logits, Tensor dlogprob, Tensor dentropy,
                       const LogProbOutputs& saved, Tensor targets, double temperature) {
  check_log_prob(saved, logits, targets, temperature);
  check_alike({logits, dlogprob, dentropy});
  check_shape(dlogprob, {logits.rows()}, "log_prob: dlogprob");
  if (dentropy.data) {
    check_shape(dentropy, {logits.rows()}, "log_prob: dentropy");
    require(saved.entropy.data != nullptr, "log_prob: dentropy needs the saved entropy");
  }
  switch (logits.device) {
    case Device::cpu:
      return cpu::log_prob_backward(ctx, logits, dlogprob, dentropy, saved, targets, temperature);
    case Device::cuda:
      if constexpr (kWithCuda)
        return cuda::log_prob_backward(ctx, logits, dlogprob, dentropy, saved, targets,
                                       temperature);
      no_backend();
  }
}

}  // namespace temper
