// Gradients that are fresh: written over whatever their memory holds, to the bits that adding to
// zeros gives.
#include <functional>

#include "model/ops/attention.h"
#include "model/ops/linear.h"
#include "model/ops/mla_heads.h"
#include "model/ops/permute.h"
#include "model/ops/rms_norm.h"
#include "model/ops/router.h"
#include "model/ops/swiglu.h"
#include "tests/model/ops/op_test.h"

namespace temper {
namespace {

using test::Tensors;
using Grads = std::vector<Grad>;

constexpr DType f = DType::f64;

// Runs backward(gradients) on zeros and on fresh NaN, for gradients of the shapes of `like`.
void check_fresh(const std::vector<Tensor>& like,
                 const std::function<void(const Grads&)>& backward) {
  Tensors make;
  Grads zeros, written;
  for (const Tensor& t : like) {
    zeros.push_back(make.copy_of(t));
    test::fill_constant(zeros.back(), 0.0);
    written.push_back(fresh(make.copy_of(t)));
    test::fill_constant(written.back(), std::numeric_limits<double>::quiet_NaN());
  }
  backward(zeros);
  backward(written);
  for (size_t i = 0; i < like.size(); ++i) {
    INFO("gradient " << i);
    CHECK(test::relative_difference(written[i], zeros[i]) == 0.0);
  }
}

TEST_CASE("fresh gradients are written", "[ops]") {
  const int64_t rows = GENERATE(0, 1, 70);
  Tensors make;
  Context ctx(2);
  const auto normal = [&](std::initializer_list<int64_t> dims) { return make.normal(f, dims); };
  SECTION("linear") {
    const Tensor x = normal({rows, 37}), w = normal({41, 37}), dy = normal({rows, 41});
    check_fresh({x, w, normal({41})}, [&](const Grads& g) {
      linear_backward(ctx, {g[0], g[1], g[2]}, dy, x, w);
    });
  }
  SECTION("grouped linear, empty groups included") {
    const auto end = static_cast<int32_t>(rows);
    const Tensor offsets = make.ints({4}, {0, 0, end, end});
    const Tensor x = normal({rows, 37}), w = normal({3, 50, 37}), dy = normal({rows, 50});
    check_fresh({x, w}, [&](const Grads& g) {
      grouped_linear_backward(ctx, {g[0], g[1]}, dy, x, w, offsets);
    });
  }
  SECTION("rms_norm") {
    const Tensor x = normal({rows, 19}), w = normal({19}), rstd = normal({rows});
    check_fresh({x, w}, [&](const Grads& g) {
      rms_norm_backward(ctx, {g[0], g[1]}, x, x, w, rstd);
    });
  }
  SECTION("swiglu") {
    const Tensor gate = normal({rows, 19}), up = normal({rows, 19});
    check_fresh({gate, up}, [&](const Grads& g) {
      swiglu_backward(ctx, {g[0], g[1]}, {}, up, gate, up);
    });
    std::vector<int32_t> order;
    for (int64_t r = rows; r-- > 0;) order.push_back(static_cast<int32_t>(r));
    const RowWeights weighted{normal({rows, 1}), make.ints({rows, 1}, order)};
    const Tensor z = normal({rows, 19});
    check_fresh({gate, up, weighted.weights}, [&](const Grads& g) {
      weighted_swiglu_backward(ctx, {g[0], g[1]}, g[2], z, up, gate, up, weighted);
    });
    check_fresh({gate},
                [&](const Grads& g) { gather_rows_backward(ctx, g[0], up, weighted.row_of); });
  }
  SECTION("the heads of latent attention") {
    const Tensor k_nope = normal({rows, 3, 5}), k_rope = normal({rows, 4}),
                 dk = normal({rows, 3, 9});
    const Tensor cos = normal({rows, 2}), sin = normal({rows, 2});
    check_fresh({k_nope, k_rope}, [&](const Grads& g) {
      mla_heads_backward(ctx, {make.copy_of(dk), dk, g[0], g[1], cos, sin});
    });
  }
  SECTION("the router") {
    const Tensor logits = normal({rows, 8}), dweights = normal({rows, 2});
    RouterParams params;
    params.top_k = 2;
    const RouterOutputs out{make.ints({rows, 2}, {}), normal({rows, 2}), normal({rows, 8})};
    router_forward(ctx, out, logits, {}, params);
    check_fresh({logits},
                [&](const Grads& g) { router_backward(ctx, g[0], dweights, out, params); });
  }
  SECTION("attention") {
    const std::vector<int32_t> cu{0, static_cast<int32_t>(rows)};
    const Tensor q = normal({rows, 4, 6}), k = normal({rows, 2, 6}), v = normal({rows, 2, 5});
    const Tensor o = normal({rows, 4, 5}), lse = normal({rows, 4}), d_o = normal({rows, 4, 5});
    attention_forward(ctx, o, lse, q, k, v, {cu, 0.4});
    check_fresh({q, k, v}, [&](const Grads& g) {
      attention_backward(ctx, {g[0], g[1], g[2]}, d_o, {q, k, v, o, lse}, {cu, 0.4});
    });
  }
}

TEST_CASE("the heads of latent attention: closed form and gradients", "[ops][gradient]") {
  Tensors make;
  Context ctx(2);
  const int64_t tokens = 4, heads = 3, nope = 5, rope = 4;
  const Tensor q = make.normal_slice(f, {tokens, heads, nope + rope});
  const Tensor k_nope = make.normal_slice(f, {tokens, heads, nope});
  const Tensor k_rope = make.normal_slice(f, {tokens, rope});
  const Tensor cos = make.normal(f, {tokens, rope / 2}), sin = make.normal(f, {tokens, rope / 2});
  const Tensor k = make.slice(f, {tokens, heads, nope + rope}), turned = make.copy_of(q);
  const Tensor dq = make.normal_slice(f, {tokens, heads, nope + rope}), dk = make.copy_of(dq);
  const auto loss = [&] {
    for (int64_t r = 0; r < q.rows(); ++r)
      std::copy_n(q.row<double>(r), nope + rope, turned.row<double>(r));
    mla_heads_forward(ctx, {turned, k, k_nope, k_rope, cos, sin});
    return test::dot_all(turned, dk) + test::dot_all(k, dk);
  };
  loss();
  const double a = q.row<double>(4)[nope + 2], b = q.row<double>(4)[nope + 3];
  const double c = cos.row<double>(1)[1], s = sin.row<double>(1)[1];
  CHECK(turned.row<double>(4)[nope + 2] == Approx(a * c - b * s));
  CHECK(turned.row<double>(4)[nope + 3] == Approx(a * s + b * c));
  CHECK(turned.row<double>(4)[nope - 1] == q.row<double>(4)[nope - 1]);
  CHECK(k.row<double>(4)[nope - 1] == k_nope.row<double>(4)[nope - 1]);
  CHECK(k.row<double>(4)[nope + 1] == k.row<double>(3)[nope + 1]);  // of one token

  const Tensor dk_nope = make.zeros_slice(f, {tokens, heads, nope});
  const Tensor dk_rope = make.zeros_slice(f, {tokens, rope});
  mla_heads_backward(ctx, {dq, dk, dk_nope, dk_rope, cos, sin});
  CHECK(test::check_gradient(q, dq, loss).relative < 1e-9);
  CHECK(test::check_gradient(k_nope, dk_nope, loss).relative < 1e-9);
  CHECK(test::check_gradient(k_rope, dk_rope, loss).relative < 1e-9);
  const Tensor twice = make.doubled(dk_rope);
  mla_heads_backward(ctx, {dq, dk, dk_nope, dk_rope, cos, sin});
  CHECK(test::relative_difference(dk_rope, twice) < 1e-14);
}

}  // namespace
}  // namespace temper
