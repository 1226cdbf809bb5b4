#include "model/ops/attention.h"

#include "model/ops/check.h"
#include "model/ops/cpu/attention.h"
#include "model/ops/cuda/attention.h"

namespace temper {
namespace {

void check_attention(const Tensor& o, const Tensor& q, const Tensor& k, const Tensor& v,
                     const AttentionShape& shape) {
  check_alike({o, q, k, v});
  require(q.rank == 3 && k.rank == 3 && v.rank == 3, "attention: q, k, v are [T, heads, dim]");
  const int64_t tokens = q.dim(0), heads = q.dim(1);
  const std::span<const int32_t> keys = shape.of_keys().cu_seqlens;
  require(!keys.empty() && keys.front() == 0, "attention: the keys' sequences begin at 0");
  check_shape(k, {keys.back(), k.dim(1), q.cols()}, "attention: k");
  check_shape(v, {keys.back(), k.dim(1), v.cols()}, "attention: v");
  check_shape(o, {tokens, heads, v.cols()}, "attention: o");
  require(k.dim(1) > 0 && heads % k.dim(1) == 0, "attention: heads do not divide by kv heads");
  const std::span<const int32_t> cu = shape.sequences.cu_seqlens;
  require(!cu.empty() && cu.front() == 0 && cu.back() == tokens,
          "attention: cu_seqlens does not span the tokens");
  require(keys.size() == cu.size(), "attention: keys of another number of sequences");
  for (size_t s = 0; s + 1 < cu.size(); ++s) {
    require(cu[s] <= cu[s + 1], "attention: cu_seqlens descends");
    require(cu[s + 1] - cu[s] <= keys[s + 1] - keys[s], "attention: a sequence has too few keys");
  }
}

}  // namespace

void attention_forward(Context& ctx, Tensor o, Tensor lse, Tensor q, Tensor k, Tensor v,
                       const AttentionShape& shape) {
  check_attention(o, q, k, v, shape);
  check_alike({o, lse});
  if (lse.data) check_shape(lse, {q.dim(0), q.dim(1)}, "attention: lse");
  switch (o.device) {
    case Device::cpu:
      return cpu::attention_forward(ctx, o, lse, q, k, v, shape);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::attention_forward(ctx, o, lse, q, k, v, shape);
      no_backend();
  }
}

void attention_backward(Context& ctx, const AttentionGrads& grads, Tensor d_o,
                        const AttentionSaved& saved, const AttentionShape& shape) {
  const Tensor &q = saved.q, &k = saved.k, &v = saved.v;
  require(shape.keys.cu_seqlens.empty(), "attention: earlier keys get no gradient");
  check_attention(saved.o, q, k, v, shape);
  check_alike({d_o, saved.o, saved.lse, grads.dq, grads.dk, grads.dv});
  check_shape(d_o, {q.dim(0), q.dim(1), v.cols()}, "attention: do");
  check_shape(saved.lse, {q.dim(0), q.dim(1)}, "attention: lse");
  check_shape(grads.dq, {q.dim(0), q.dim(1), q.cols()}, "attention: dq");
  check_shape(grads.dk, {k.dim(0), k.dim(1), k.cols()}, "attention: dk");
  check_shape(grads.dv, {v.dim(0), v.dim(1), v.cols()}, "attention: dv");
  switch (d_o.device) {
    case Device::cpu:
      return cpu::attention_backward(
          ctx, {to_add(ctx, grads.dq), to_add(ctx, grads.dk), to_add(ctx, grads.dv)}, d_o, saved,
          shape);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::attention_backward(ctx, grads, d_o, saved, shape);
      no_backend();
  }
}

}  // namespace temper
