// The kernels that are compiled for each 16-bit type (each_narrow.h), called by their tensors'
// type.
#include "model/ops/cuda/gqa_decode_mma.h"
#include "model/ops/cuda/grouped_few.h"
#include "model/ops/cuda/grouped_few_hopper.h"
#include "model/ops/cuda/grouped_gemm_hopper.h"
#include "model/ops/cuda/head_gemm_hopper.h"
#include "model/ops/cuda/mla_decode_hopper.h"

namespace temper::cuda {

bool gqa_decode_mma(Context& ctx, const Tensor& o, const Tensor& q, const Tensor& cache,
                    const PagedRows& rows, double scale) {
  const auto run =
      o.dtype == DType::f16 ? gqa_decode_mma_of<DType::f16> : gqa_decode_mma_of<DType::bf16>;
  return run(ctx, o, q, cache, rows, scale);
}

bool mla_decode_hopper(Context& ctx, const Tensor& o_latent, const Tensor& q_latent,
                       const Tensor& q_rope, const Tensor& cache, const PagedRows& rows,
                       double scale) {
  const auto run = o_latent.dtype == DType::f16 ? mla_decode_hopper_of<DType::f16>
                                                : mla_decode_hopper_of<DType::bf16>;
  return run(ctx, o_latent, q_latent, q_rope, cache, rows, scale);
}

bool grouped_forward_few(Context& ctx, const Tensor& y, const Tensor& x, const Tensor& w,
                         const Tensor& offsets) {
  const auto run = y.dtype == DType::f16 ? grouped_forward_few_of<DType::f16>
                                         : grouped_forward_few_of<DType::bf16>;
  return run(ctx, y, x, w, offsets);
}

bool grouped_few_hopper(Context& ctx, const Tensor& y, const Tensor& x, const Tensor& w,
                        const Tensor& offsets) {
  const auto run = y.dtype == DType::f16 ? grouped_few_hopper_of<DType::f16>
                                         : grouped_few_hopper_of<DType::bf16>;
  return run(ctx, y, x, w, offsets);
}

bool gated_few_hopper(Context& ctx, const Tensor& y, const Tensor& x, const Tensor& w,
                      const Tensor& offsets) {
  const auto run =
      y.dtype == DType::f16 ? gated_few_hopper_of<DType::f16> : gated_few_hopper_of<DType::bf16>;
  return run(ctx, y, x, w, offsets);
}

bool grouped_forward_hopper(Context& ctx, const Tensor& y, const PickedRows& x, const Tensor& w,
                            const Tensor& offsets) {
  const auto run = y.dtype == DType::f16 ? grouped_forward_hopper_of<DType::f16>
                                         : grouped_forward_hopper_of<DType::bf16>;
  return run(ctx, y, x, w, offsets);
}

bool grouped_input_grad_hopper(Context& ctx, const Grad& dx, const PickedRows& dy, const Tensor& w,
                               const Tensor& offsets) {
  const auto run = dx.dtype == DType::f16 ? grouped_input_grad_hopper_of<DType::f16>
                                          : grouped_input_grad_hopper_of<DType::bf16>;
  return run(ctx, dx, dy, w, offsets);
}

bool grouped_weight_grad_hopper(Context& ctx, const Grad& dw, const PickedRows& dy,
                                const PickedRows& x, const Tensor& offsets) {
  const auto run = dy.from.dtype == DType::f16 ? grouped_weight_grad_hopper_of<DType::f16>
                                               : grouped_weight_grad_hopper_of<DType::bf16>;
  return run(ctx, dw, dy, x, offsets);
}

void head_log_prob_forward_hopper(Context& ctx, const LogProbOutputs& out, const Tensor& hidden,
                                  const Tensor& lm_head, const HeadTargets& targets) {
  const auto run = hidden.dtype == DType::f16 ? head_log_prob_forward_hopper_of<DType::f16>
                                              : head_log_prob_forward_hopper_of<DType::bf16>;
  return run(ctx, out, hidden, lm_head, targets);
}

void head_log_prob_backward_hopper(Context& ctx, const Tensor& dlogits,
                                   const HeadGradients& gradients, const Tensor& hidden,
                                   const Tensor& lm_head, const HeadTargets& targets) {
  const auto run = hidden.dtype == DType::f16 ? head_log_prob_backward_hopper_of<DType::f16>
                                              : head_log_prob_backward_hopper_of<DType::bf16>;
  return run(ctx, dlogits, gradients, hidden, lm_head, targets);
}

}  // namespace temper::cuda
