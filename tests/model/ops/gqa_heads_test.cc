#include "model/ops/gqa_heads.h"

#include "model/ops/rope.h"
#include "tests/model/ops/op_test.h"

namespace temper {
namespace {

using test::Tensors;

constexpr DType f = DType::f64;

// 5 tokens, 3 heads over 2, of 4 numbers.
struct Heads {
  Tensors make;
  Context ctx{2};
  int64_t tokens = 5, width = (3 + 2 + 2) * 4;
  Tensor qkv = make.normal_slice(f, {tokens, width}), bias = make.normal(f, {width});
  Tensor q = make.poisoned(f, {tokens, 3, 4}), k = make.poisoned(f, {tokens, 2, 4});
  Tensor v = make.poisoned(f, {tokens, 2, 4});
  Tensor cos = make.normal(f, {tokens, 2}), sin = make.normal(f, {tokens, 2});
};

TEST_CASE("the heads of one projection are its columns with their biases, rotated", "[ops]") {
  Heads h;
  gqa_heads_forward(h.ctx, {h.q, h.k, h.v, h.qkv, h.bias, {}, {}});
  const auto at = [&](int64_t t, int64_t column) {
    return h.qkv.row<double>(t)[column] + h.bias.get<double>()[column];
  };
  for (int64_t t = 0; t < h.tokens; ++t) {
    for (int64_t j = 0; j < 12; ++j) CHECK(h.q.row<double>(3 * t)[j] == at(t, j));
    for (int64_t j = 0; j < 8; ++j) CHECK(h.k.row<double>(2 * t)[j] == at(t, 12 + j));
    for (int64_t j = 0; j < 8; ++j) CHECK(h.v.row<double>(2 * t)[j] == at(t, 20 + j));
  }
  const Tensor q = h.make.copy_of(h.q), k = h.make.copy_of(h.k), v = h.make.copy_of(h.v);
  rope_forward(h.ctx, q, h.cos, h.sin, RopeStyle::halves);
  rope_forward(h.ctx, k, h.cos, h.sin, RopeStyle::halves);
  gqa_heads_forward(h.ctx, {h.q, h.k, h.v, h.qkv, h.bias, h.cos, h.sin});
  CHECK(test::relative_difference(h.q, q) == 0.0);
  CHECK(test::relative_difference(h.k, k) == 0.0);
  CHECK(test::relative_difference(h.v, v) == 0.0);
}

TEST_CASE("gradients of the heads of one projection", "[ops][gradient]") {
  Heads h;
  const bool rotated = GENERATE(true, false);
  const Tensor cos = rotated ? h.cos : Tensor{}, sin = rotated ? h.sin : Tensor{};
  const Tensor dq = h.make.normal(f, {h.tokens, 3, 4}), dk = h.make.normal(f, {h.tokens, 2, 4});
  const Tensor dv = h.make.normal(f, {h.tokens, 2, 4});
  const auto loss = [&] {
    gqa_heads_forward(h.ctx, {h.q, h.k, h.v, h.qkv, h.bias, cos, sin});
    return test::dot_all(h.q, dq) + test::dot_all(h.k, dk) + test::dot_all(h.v, dv);
  };
  const Tensor dqkv = h.make.slice(f, {h.tokens, h.width}), dbias = h.make.zeros(f, {h.width});
  gqa_heads_backward(h.ctx, {dqkv, dbias, dq, dk, dv, cos, sin});
  CHECK(test::check_gradient(h.qkv, dqkv, loss).relative < 1e-9);
  CHECK(test::check_gradient(h.bias, dbias, loss).relative < 1e-9);
  const Tensor twice = h.make.doubled(dbias);
  gqa_heads_backward(h.ctx, {dqkv, dbias, dq, dk, dv, cos, sin});
  CHECK(test::relative_difference(dbias, twice) < 1e-14);
  gqa_heads_backward(h.ctx, {dqkv, {}, dq, dk, dv, cos, sin});
}

}  // namespace
}  // namespace temper
