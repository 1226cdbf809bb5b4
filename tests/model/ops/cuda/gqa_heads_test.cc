// Biases and RoPE between the projection of grouped-query attention and its heads: the GPU's
// results against the CPU's on the same numbers.
#include "model/ops/gqa_heads.h"
#include "tests/model/ops/cuda/cuda_op_test.h"

namespace temper {
namespace {

using test::Layout;
using test::on_each;
using test::Sides;

constexpr DType f = DType::f32;

struct Size {
  int64_t tokens, heads, kv_heads, dim;
};

void check_heads(Sides& s, double bound, const Size& z, bool bias, bool rotated) {
  CAPTURE(z.tokens, z.heads, z.dim, bias, rotated);
  const int64_t width = (z.heads + 2 * z.kv_heads) * z.dim;
  const Tensor qkv = s.normal({z.tokens, width});
  const Tensor b = bias ? s.normal({width}) : Tensor{}, gpu_b = bias ? s.dense(b) : Tensor{};
  const auto angles = [&] { return rotated ? s.make.normal(f, {z.tokens, z.dim / 2}) : Tensor{}; };
  const Tensor cos = angles(), sin = angles();
  const Tensor gpu_cos = rotated ? s.wide(cos) : Tensor{}, gpu_sin = rotated ? s.wide(sin) : cos;
  const Tensor q = s.make.poisoned(f, {z.tokens, z.heads, z.dim});
  const Tensor k = s.make.poisoned(f, {z.tokens, z.kv_heads, z.dim}), v = s.make.copy_of(k);
  const Tensor gpu_q = s.poisoned(q), gpu_k = s.poisoned(k), gpu_v = s.poisoned(v);
  gqa_heads_forward(s.host, {q, k, v, qkv, b, cos, sin});
  gqa_heads_forward(s.ctx, {gpu_q, gpu_k, gpu_v, s.up(qkv), gpu_b, gpu_cos, gpu_sin});
  CHECK(s.off(gpu_q, q) < bound);
  CHECK(s.off(gpu_k, k) < bound);
  CHECK(s.off(gpu_v, v) < bound);

  const Tensor dq = s.normal({z.tokens, z.heads, z.dim}), gpu_dq = s.up(dq);
  const Tensor dk = s.normal({z.tokens, z.kv_heads, z.dim}), gpu_dk = s.up(dk);
  const Tensor dv = s.normal({z.tokens, z.kv_heads, z.dim}), gpu_dv = s.up(dv);
  const Tensor dqkv = s.make.poisoned(f, {z.tokens, width}), gpu_dqkv = s.poisoned(dqkv);
  const Tensor dbias = bias ? s.make.normal(f, {width}) : Tensor{};
  const Tensor gpu_dbias = bias ? s.wide(dbias) : Tensor{};
  gqa_heads_backward(s.host, {dqkv, dbias, dq, dk, dv, cos, sin});
  gqa_heads_backward(s.ctx, {gpu_dqkv, gpu_dbias, gpu_dq, gpu_dk, gpu_dv, gpu_cos, gpu_sin});
  CHECK(s.off(gpu_dqkv, dqkv) < bound);
  if (!bias) return;
  CHECK(s.off(gpu_dbias, dbias, Layout::dense) < 3e-6);
  const Tensor new_dbias = s.on_gpu.poisoned(dbias, f), again = s.on_gpu.poisoned(dbias, f);
  gqa_heads_backward(s.host, {dqkv, fresh(dbias), dq, dk, dv, cos, sin});
  for (const Tensor& to : {new_dbias, again})
    gqa_heads_backward(s.ctx, {gpu_dqkv, fresh(to), gpu_dq, gpu_dk, gpu_dv, gpu_cos, gpu_sin});
  CHECK(s.off(new_dbias, dbias, Layout::dense) < 3e-6);
  CHECK(s.off(new_dbias, s.on_gpu.download(s.make, again), Layout::dense) == 0.0);
}

TEST_CASE("cuda: the heads of one projection and their gradients are the CPU's", "[ops][cuda]") {
  on_each(2e-6, 6e-3, [](Sides& s, double bound) {
    for (const Size& z :
         {Size{1, 1, 1, 2}, {19, 3, 1, 6}, {300, 14, 2, 64}, {37, 4, 4, 128}, {7, 5, 5, 48}}) {
      check_heads(s, bound, z, true, true);
      check_heads(s, bound, z, false, true);
      check_heads(s, bound, z, true, false);
    }
  });
}

}  // namespace
}  // namespace temper
