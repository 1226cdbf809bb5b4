#include "model/ops/mla_attention.h"

#include "model/ops/mla_heads.h"
#include "tests/model/ops/op_test.h"

namespace temper {
namespace {

using test::Tensors;

constexpr DType f = DType::f64;
constexpr int64_t kTokens = 7, kHeads = 3, kNope = 5, kRope = 4, kV = 2;
constexpr int64_t kWidth = kHeads * (kNope + kRope);

void copy_rows(const Tensor& to, const Tensor& from) {
  for (int64_t r = 0; r < from.rows(); ++r)
    std::copy_n(from.row<double>(r), from.cols(), to.row<double>(r));
}

TEST_CASE("the heads of latent attention: closed form", "[ops]") {
  Tensors make;
  Context ctx(2);
  const Tensor q = make.normal_slice(f, {kTokens, kWidth}), before = make.copy_of(q);
  const Tensor k_rope = make.normal_slice(f, {kTokens, kRope});
  const Tensor turned = make.slice(f, {kTokens, kRope});
  const Tensor cos = make.normal(f, {kTokens, kRope / 2}),
               sin = make.normal(f, {kTokens, kRope / 2});
  mla_rope_forward(ctx, {q, turned, k_rope, cos, sin, kHeads});
  const double c = cos.row<double>(1)[1], s = sin.row<double>(1)[1];
  const double* head = before.row<double>(1) + kNope + kRope;  // the second
  const double a = head[kNope + 2], b = head[kNope + 3];
  const double* got = q.row<double>(1) + kNope + kRope;
  CHECK(got[kNope + 2] == Approx(a * c - b * s));
  CHECK(got[kNope + 3] == Approx(a * s + b * c));
  CHECK(std::equal(got, got + kNope, head));
  const double ka = k_rope.row<double>(1)[2], kb = k_rope.row<double>(1)[3];
  CHECK(turned.row<double>(1)[3] == Approx(ka * s + kb * c));

  const Tensor k_nope = make.normal_slice(f, {kTokens, kHeads, kNope});
  const Tensor k = make.slice(f, {kTokens, kHeads, kNope + kRope});
  mla_keys_forward(ctx, k, k_nope, turned);
  const double* key = k.row<double>(kHeads + 2);  // of token 1, the last head
  CHECK(std::equal(key, key + kNope, k_nope.row<double>(kHeads + 2)));
  CHECK(std::equal(key + kNope, key + kNope + kRope, turned.row<double>(1)));
}

// Everything of one attention over two sequences; q and its gradient are columns of something
// wider.
struct Attention {
  Tensors make = {};
  Context ctx{2};
  std::vector<int32_t> cu{0, 4, 7};
  Tensor q = make.normal_slice(f, {kTokens, kWidth}), turned_q = make.slice(f, {kTokens, kWidth});
  Tensor k_nope = make.normal_slice(f, {kTokens, kHeads, kNope});
  Tensor k_rope = make.normal_slice(f, {kTokens, kRope}),
         turned_k = make.slice(f, {kTokens, kRope});
  Tensor v = make.normal_slice(f, {kTokens, kHeads, kV});
  Tensor cos = make.normal(f, {kTokens, kRope / 2}), sin = make.normal(f, {kTokens, kRope / 2});
  Tensor o = make.zeros(f, {kTokens, kHeads, kV}), lse = make.zeros(f, {kTokens, kHeads});
  Tensor d_o = make.normal(f, {kTokens, kHeads, kV});

  MlaAttention in() const { return {turned_q, k_nope, turned_k, v}; }
  double loss() {
    copy_rows(turned_q, q);
    mla_rope_forward(ctx, {turned_q, turned_k, k_rope, cos, sin, kHeads});
    mla_attention_forward(ctx, o, lse, in(), {cu, 0.4});
    return test::dot_all(o, d_o);
  }
};

TEST_CASE("latent attention: keys in two parts are keys in one, and gradients", "[ops][gradient]") {
  Attention a;
  a.loss();
  const Tensor k = a.make.zeros(f, {kTokens, kHeads, kNope + kRope});
  const Tensor q = a.make.zeros(f, {kTokens, kHeads, kNope + kRope});
  copy_rows(q.reshape({kTokens, kWidth}), a.turned_q);
  mla_keys_forward(a.ctx, k, a.k_nope, a.turned_k);
  const Tensor o = a.make.zeros(f, {kTokens, kHeads, kV});
  attention_forward(a.ctx, o, {}, q, k, a.v, {a.cu, 0.4});
  CHECK(test::relative_difference(a.o, o) < 1e-15);

  const Tensor dq = a.make.zeros_slice(f, {kTokens, kWidth});
  const Tensor dk_nope = a.make.zeros_slice(f, {kTokens, kHeads, kNope});
  const Tensor dk_rope = a.make.zeros_slice(f, {kTokens, kRope});
  const Tensor dv = a.make.zeros_slice(f, {kTokens, kHeads, kV});
  const MlaAttentionSaved saved{a.in(), a.o, a.lse, a.cos, a.sin};
  mla_attention_backward(a.ctx, {dq, dk_nope, dk_rope, dv}, a.d_o, saved, {a.cu, 0.4});
  const auto loss = [&] { return a.loss(); };
  CHECK(test::check_gradient(a.q, dq, loss).relative < 1e-8);
  CHECK(test::check_gradient(a.k_nope, dk_nope, loss).relative < 1e-8);
  CHECK(test::check_gradient(a.k_rope, dk_rope, loss).relative < 1e-8);
  CHECK(test::check_gradient(a.v, dv, loss).relative < 1e-8);
  const Tensor twice_q = a.make.doubled(dq), twice_k = a.make.doubled(dk_rope);
  a.loss();
  mla_attention_backward(a.ctx, {dq, dk_nope, dk_rope, dv}, a.d_o, saved, {a.cu, 0.4});
  CHECK(test::relative_difference(dq, twice_q) < 1e-14);
  CHECK(test::relative_difference(dk_rope, twice_k) < 1e-14);
}

}  // namespace
}  // namespace temper
