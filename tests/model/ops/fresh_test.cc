// Gradients that are fresh: written over whatever their memory holds, to the bits that adding to
// zeros gives.
#include <functional>

#include "model/ops/attention.h"
#include "model/ops/linear.h"
#include "model/ops/mla_attention.h"
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
    const Tensor q = normal({rows, 27}), k_nope = normal({rows, 3, 5}), k_rope = normal({rows, 4});
    const Tensor dk = normal({rows, 3, 9}), cos = normal({rows, 2}), sin = normal({rows, 2});
    check_fresh({q, k_nope, k_rope}, [&](const Grads& g) {
      mla_heads_backward(ctx, {dk, dk, g[0], g[1], g[2], cos, sin});
    });
    const std::vector<int32_t> cu{0, static_cast<int32_t>(rows)};
    const Tensor v = normal({rows, 3, 2}), o = normal({rows, 3, 2}), lse = normal({rows, 3});
    const MlaAttention in{q, k_nope, k_rope, v};
    mla_attention_forward(ctx, o, lse, in, {cu, 0.4});
    check_fresh({q, k_nope, k_rope, v}, [&](const Grads& g) {
      mla_attention_backward(ctx, {g[0], g[1], g[2], g[3]}, o, {in, o, lse, cos, sin}, {cu, 0.4});
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

}  // namespace
}  // namespace temper
