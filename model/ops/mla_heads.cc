#include "model/ops/mla_heads.h"

#include "model/ops/check.h"
#include "model/ops/cpu/mla_heads.h"
#include "model/ops/cuda/mla_heads.h"

namespace temper {
namespace {

void check_angles(const Tensor& cos, const Tensor& sin, int64_t tokens, int64_t rope) {
  require(rope % 2 == 0, "mla_heads: an odd number of rotated dimensions");
  check_rows_cols(cos, tokens, rope / 2, "mla_heads: cos");
  check_rows_cols(sin, tokens, rope / 2, "mla_heads: sin");
}

}  // namespace

void mla_rope_forward(Context& ctx, const MlaRope& m) {
  check_alike({m.q, m.turned, m.k_rope, m.cos, m.sin});
  const int64_t tokens = m.q.rows(), rope = m.k_rope.cols();
  require(m.heads > 0 && m.q.cols() % m.heads == 0 && m.q.cols() / m.heads >= rope,
          "mla_rope: q has no such heads");
  check_rows_cols(m.turned, tokens, rope, "mla_rope: turned");
  check_rows_cols(m.k_rope, tokens, rope, "mla_rope: k_rope");
  check_angles(m.cos, m.sin, tokens, rope);
  switch (m.q.device) {
    case Device::cpu:
      return cpu::mla_rope_forward(ctx, m);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::mla_rope_forward(ctx, m);
      no_backend();
  }
}

void mla_keys_forward(Context& ctx, Tensor k, Tensor k_nope, Tensor k_rope) {
  check_alike({k, k_nope, k_rope});
  require(k.rank == 3 && k_nope.rank == 3, "mla_keys: k and k_nope are [T, H, .]");
  const int64_t tokens = k.dim(0), heads = k.dim(1), nope = k_nope.cols();
  check_shape(k, {tokens, heads, nope + k_rope.cols()}, "mla_keys: k");
  check_shape(k_nope, {tokens, heads, nope}, "mla_keys: k_nope");
  check_rows_cols(k_rope, tokens, k_rope.cols(), "mla_keys: k_rope");
  switch (k.device) {
    case Device::cpu:
      return cpu::mla_keys_forward(ctx, k, k_nope, k_rope);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::mla_keys_forward(ctx, k, k_nope, k_rope);
      no_backend();
  }
}

void mla_heads_backward(Context& ctx, const MlaHeadsGrads& g) {
  check_alike({g.dturned, g.dk, g.dq, g.dk_nope, g.dk_rope, g.cos, g.sin});
  require(g.dk.rank == 3 && g.dk_nope.rank == 3, "mla_heads: dk and dk_nope are [T, H, .]");
  const int64_t tokens = g.dk.dim(0), heads = g.dk.dim(1), rope = g.dk_rope.cols();
  const int64_t width = g.dk_nope.cols() + rope;
  check_shape(g.dk, {tokens, heads, width}, "mla_heads: dk");
  check_shape(g.dturned, {tokens, heads, width}, "mla_heads: the turned queries' gradient");
  check_shape(g.dk_nope, {tokens, heads, width - rope}, "mla_heads: dk_nope");
  check_rows_cols(g.dq, tokens, heads * width, "mla_heads: dq");
  check_rows_cols(g.dk_rope, tokens, rope, "mla_heads: dk_rope");
  check_angles(g.cos, g.sin, tokens, rope);
  switch (g.dk.device) {
    case Device::cpu:
      return cpu::mla_heads_backward(
          ctx, {g.dturned, g.dk, to_add(ctx, g.dq), to_add(ctx, g.dk_nope), to_add(ctx, g.dk_rope),
                g.cos, g.sin});
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::mla_heads_backward(ctx, g);
      no_backend();
  }
}

}  // namespace temper
