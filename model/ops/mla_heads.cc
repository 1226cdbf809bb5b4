#include "model/ops/mla_heads.h"

#include "model/ops/check.h"
#include "model/ops/cpu/mla_heads.h"
#include "model/ops/cuda/mla_heads.h"

namespace temper {
namespace {

void check_heads(const Tensor& q, const Tensor& k, const Tensor& k_nope, const Tensor& k_rope,
                 const Tensor& cos, const Tensor& sin) {
  check_alike({q, k, k_nope, k_rope, cos, sin});
  require(q.rank == 3 && k_nope.rank == 3, "mla_heads: q and k_nope are [T, H, .]");
  const int64_t tokens = q.dim(0), heads = q.dim(1), nope = k_nope.cols(), rope = k_rope.cols();
  require(rope % 2 == 0, "mla_heads: an odd number of rotated dimensions");
  check_shape(q, {tokens, heads, nope + rope}, "mla_heads: q");
  check_shape(k, {tokens, heads, nope + rope}, "mla_heads: k");
  check_shape(k_nope, {tokens, heads, nope}, "mla_heads: k_nope");
  check_rows_cols(k_rope, tokens, rope, "mla_heads: k_rope");
  check_rows_cols(cos, tokens, rope / 2, "mla_heads: cos");
  check_rows_cols(sin, tokens, rope / 2, "mla_heads: sin");
}

}  // namespace

void mla_heads_forward(Context& ctx, const MlaHeads& heads) {
  check_heads(heads.q, heads.k, heads.k_nope, heads.k_rope, heads.cos, heads.sin);
  switch (heads.q.device) {
    case Device::cpu:
      return cpu::mla_heads_forward(ctx, heads);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::mla_heads_forward(ctx, heads);
      no_backend();
  }
}

void mla_keys_forward(Context& ctx, const MlaHeads& m) {
  check_alike({m.k, m.k_nope, m.k_rope});
  require(m.k.rank == 3 && m.k_nope.rank == 3, "mla_keys: k and k_nope are [T, H, .]");
  const int64_t tokens = m.k.dim(0), heads = m.k.dim(1), nope = m.k_nope.cols();
  check_shape(m.k, {tokens, heads, nope + m.k_rope.cols()}, "mla_keys: k");
  check_shape(m.k_nope, {tokens, heads, nope}, "mla_keys: k_nope");
  check_rows_cols(m.k_rope, tokens, m.k_rope.cols(), "mla_keys: k_rope");
  switch (m.k.device) {
    case Device::cpu:
      return cpu::mla_keys_forward(ctx, m);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::mla_keys_forward(ctx, m);
      no_backend();
  }
}

void mla_heads_backward(Context& ctx, const MlaHeadsGrads& grads) {
  check_heads(grads.dq, grads.dk, grads.dk_nope, grads.dk_rope, grads.cos, grads.sin);
  switch (grads.dq.device) {
    case Device::cpu:
      return cpu::mla_heads_backward(ctx, {grads.dq, grads.dk, to_add(ctx, grads.dk_nope),
                                           to_add(ctx, grads.dk_rope), grads.cos, grads.sin});
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::mla_heads_backward(ctx, grads);
      no_backend();
  }
}

}  // namespace temper
