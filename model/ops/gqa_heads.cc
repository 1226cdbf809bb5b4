#include "model/ops/gqa_heads.h"

#include "model/ops/check.h"
#include "model/ops/cpu/gqa_heads.h"
#include "model/ops/cuda/gqa_heads.h"

namespace temper {
namespace {

void check_heads(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& qkv,
                 const Tensor& bias, const Tensor& cos, const Tensor& sin) {
  check_alike({q, k, v, qkv, bias, cos, sin});
  require(q.rank == 3 && k.rank == 3, "gqa_heads: q and k are [T, heads, D]");
  const int64_t tokens = q.dim(0), heads = q.dim(1), kv_heads = k.dim(1), d = q.cols();
  require(d % 2 == 0, "gqa_heads: an odd head dimension");
  check_shape(k, {tokens, kv_heads, d}, "gqa_heads: k");
  check_shape(v, {tokens, kv_heads, d}, "gqa_heads: v");
  check_rows_cols(qkv, tokens, (heads + 2 * kv_heads) * d, "gqa_heads: qkv");
  if (bias.data) {
    check_rows_cols(bias, 1, qkv.cols(), "gqa_heads: bias");
    require(bias.contiguous(), "gqa_heads: a strided bias");
  }
  if (!cos.data) return;
  check_rows_cols(cos, tokens, d / 2, "gqa_heads: cos");
  check_rows_cols(sin, tokens, d / 2, "gqa_heads: sin");
}

}  // namespace

void gqa_heads_forward(Context& ctx, const GqaHeads& h) {
  check_heads(h.q, h.k, h.v, h.qkv, h.bias, h.cos, h.sin);
  switch (h.q.device) {
    case Device::cpu:
      return cpu::gqa_heads_forward(ctx, h);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::gqa_heads_forward(ctx, h);
      no_backend();
  }
}

void gqa_heads_backward(Context& ctx, const GqaHeadsGrads& g) {
  check_heads(g.dq, g.dk, g.dv, g.dqkv, g.dbias, g.cos, g.sin);
  switch (g.dq.device) {
    case Device::cpu:
      return cpu::gqa_heads_backward(
          ctx, {g.dqkv, to_add(ctx, g.dbias), g.dq, g.dk, g.dv, g.cos, g.sin});
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::gqa_heads_backward(ctx, g);
      no_backend();
  }
}

}  // namespace temper
