// The kernels that are compiled for each 16-bit type (each_narrow.h), called by their tensors'
// type.
#include "model/ops/cuda/cache_entry.h"
#include "model/ops/cuda/gqa_decode_mma.h"
#include "model/ops/cuda/grouped_few.h"
#include "model/ops/cuda/grouped_few_hopper.h"
#include "model/ops/cuda/grouped_gated_hopper.h"
#include "model/ops/cuda/grouped_gemm_hopper.h"
#include "model/ops/cuda/head_gemm_hopper.h"
#include "model/ops/cuda/head_linear.h"
#include "model/ops/cuda/mla_decode_hopper.h"
#include "model/ops/cuda/thin_linear_hopper.h"

namespace temper::cuda {
namespace {

// Calls body.template operator()<dtype>(). What is no 16-bit float goes to bf16's kernels, which
// say that they do not take it.
template <class Body>
decltype(auto) by_type(DType dtype, Body&& body) {
  if (dtype == DType::f16) return body.template operator()<DType::f16>();
  return body.template operator()<DType::bf16>();
}

}  // namespace

bool gqa_decode_mma(Context& ctx, const Tensor& o, const Tensor& q, const Tensor& cache,
                    const PagedRows& rows, double scale) {
  return by_type(o.dtype, [&]<DType kType>() {
    return gqa_decode_mma_of<kType>(ctx, o, q, cache, rows, scale);
  });
}

bool mla_decode_hopper(Context& ctx, const Tensor& o_latent, const Tensor& q_latent,
                       const Tensor& q_rope, const Tensor& cache, const PagedRows& rows,
                       double scale) {
  return by_type(o_latent.dtype, [&]<DType kType>() {
    return mla_decode_hopper_of<kType>(ctx, o_latent, q_latent, q_rope, cache, rows, scale);
  });
}

bool write_mla_query(Context& ctx, const MlaQuery& query) {
  return by_type(query.entry.cache.dtype,
                 [&]<DType kType>() { return write_mla_query_of<kType>(ctx, query); });
}

bool grouped_forward_few(Context& ctx, const Tensor& y, const Tensor& x, const Tensor& w,
                         const Tensor& offsets) {
  return by_type(
      y.dtype, [&]<DType kType>() { return grouped_forward_few_of<kType>(ctx, y, x, w, offsets); });
}

bool grouped_few_hopper(Context& ctx, const Tensor& y, const Tensor& x, const Tensor& w,
                        const Tensor& offsets) {
  return by_type(
      y.dtype, [&]<DType kType>() { return grouped_few_hopper_of<kType>(ctx, y, x, w, offsets); });
}

bool gated_few_hopper(Context& ctx, const Tensor& y, const Tensor& x, const Tensor& w,
                      const Tensor& offsets) {
  return by_type(y.dtype,
                 [&]<DType kType>() { return gated_few_hopper_of<kType>(ctx, y, x, w, offsets); });
}

bool grouped_gated_hopper(Context& ctx, const Tensor& y, const Tensor& both, const PickedRows& x,
                          const Tensor& w, const Tensor& offsets) {
  return by_type(y.dtype, [&]<DType kType>() {
    return grouped_gated_hopper_of<kType>(ctx, y, both, x, w, offsets);
  });
}

bool grouped_gated_backward_hopper(Context& ctx, const GatedGrads& grads, const PickedRows& dy,
                                   const GatedLayer& layer) {
  return by_type(grads.z.dtype, [&]<DType kType>() {
    return grouped_gated_backward_hopper_of<kType>(ctx, grads, dy, layer);
  });
}

bool grouped_forward_hopper(Context& ctx, const Tensor& y, const PickedRows& x, const Tensor& w,
                            const Tensor& offsets) {
  return by_type(y.dtype, [&]<DType kType>() {
    return grouped_forward_hopper_of<kType>(ctx, y, x, w, offsets);
  });
}

bool grouped_input_grad_hopper(Context& ctx, const Grad& dx, const PickedRows& dy, const Tensor& w,
                               const Tensor& offsets) {
  return by_type(dx.dtype, [&]<DType kType>() {
    return grouped_input_grad_hopper_of<kType>(ctx, dx, dy, w, offsets);
  });
}

bool grouped_weight_grad_hopper(Context& ctx, const Grad& dw, const PickedRows& dy,
                                const PickedRows& x, const Tensor& offsets) {
  return by_type(dy.from.dtype, [&]<DType kType>() {
    return grouped_weight_grad_hopper_of<kType>(ctx, dw, dy, x, offsets);
  });
}

void head_log_prob_forward_hopper(Context& ctx, const LogProbOutputs& out, const Tensor& hidden,
                                  const Tensor& lm_head, const HeadTargets& targets) {
  by_type(hidden.dtype, [&]<DType kType>() {
    head_log_prob_forward_hopper_of<kType>(ctx, out, hidden, lm_head, targets);
  });
}

void head_log_prob_backward_hopper(Context& ctx, const Tensor& dlogits,
                                   const HeadGradients& gradients, const Tensor& hidden,
                                   const Tensor& lm_head, const HeadTargets& targets) {
  by_type(hidden.dtype, [&]<DType kType>() {
    head_log_prob_backward_hopper_of<kType>(ctx, dlogits, gradients, hidden, lm_head, targets);
  });
}

void head_log_prob_linear_hopper(Context& ctx, const LogProbOutputs& out, const LinearGrads& grads,
                                 const Tensor& dlogprob, const Tensor& hidden,
                                 const Tensor& lm_head, const HeadTargets& targets) {
  by_type(hidden.dtype, [&]<DType kType>() {
    head_log_prob_linear_hopper_of<kType>(ctx, out, grads, dlogprob, hidden, lm_head, targets);
  });
}

bool thin_linear_hopper(Context& ctx, const Operand& c, const Operand& a, const Operand& b,
                        bool add, int64_t batch) {
  return by_type(a.dtype, [&]<DType kType>() {
    return thin_linear_hopper_of<kType>(ctx, c, a, b, add, batch);
  });
}

}  // namespace temper::cuda
