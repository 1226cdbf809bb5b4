// Routing replay: weights by hand, what is counted, and the gate's gradient under forced experts.
#include "model/ops/router_replay.h"

#include "core/error.h"
#include "tests/support/catch.h"
#include "tests/support/gradient_check.h"

using namespace temper;

namespace {

RouterParams params_of(bool normalised) {
  RouterParams p;
  p.top_k = 2;
  p.norm_topk_prob = normalised;
  p.routed_scaling_factor = 2.5;
  p.group_limited = false;
  p.has_correction_bias = false;
  return p;
}

struct Gate {
  Gate(DType dtype, int64_t tokens, int64_t experts) {
    logits = arena.tensor("logits", dtype, {tokens, experts});
    out.experts = arena.tensor("experts", DType::i32, {tokens, 2});
    out.weights = arena.tensor("weights", dtype, {tokens, 2});
    out.scores = arena.tensor("scores", dtype, {tokens, experts});
    forced = arena.tensor("forced", DType::i32, {tokens, 2});
    differing = arena.tensor("differing", DType::i32, {tokens});
    for (int64_t t = 0; t < tokens; ++t) differing.get<int32_t>()[t] = 0;
  }
  void force(int64_t token, int32_t a, int32_t b) {
    forced.row<int32_t>(token)[0] = a;
    forced.row<int32_t>(token)[1] = b;
  }
  Context ctx{2};
  Arena arena;
  RouterOutputs out;
  Tensor logits, forced, differing;
};

}  // namespace

TEST_CASE("router replay: forced rows get the scores of their experts, others stay") {
  Gate g(DType::f64, 3, 4);
  test::fill_normal(g.logits, 5);
  const RouterParams params = params_of(true);
  router_forward(g.ctx, g.out, g.logits, {}, params);
  const int32_t a = g.out.experts.row<int32_t>(1)[0], b = g.out.experts.row<int32_t>(1)[1];
  const double kept = g.out.weights.row<double>(2)[0];
  int32_t other = 0;
  while (other == a || other == b) ++other;
  g.force(0, 1, 3);
  g.force(1, std::min(a, other), std::max(a, other));  // one of the two is the gate's own
  g.force(2, -1, -1);
  router_replay(g.ctx, g.out, g.forced, g.differing, params);
  CHECK(g.out.experts.row<int32_t>(0)[0] == 1);
  CHECK(g.out.experts.row<int32_t>(0)[1] == 3);
  const double* scores = g.out.scores.row<double>(0);
  CHECK(g.out.weights.row<double>(0)[0] == Approx(2.5 * scores[1] / (scores[1] + scores[3])));
  CHECK(g.out.weights.row<double>(0)[1] == Approx(2.5 * scores[3] / (scores[1] + scores[3])));
  CHECK(g.differing.get<int32_t>()[1] == 1);
  CHECK(g.differing.get<int32_t>()[2] == 0);
  CHECK(g.out.weights.row<double>(2)[0] == kept);
  g.force(0, 1, 4);
  CHECK_THROWS_AS(router_replay(g.ctx, g.out, g.forced, {}, params), ContractError);
}

TEST_CASE("router replay: replaying the gate's own choice changes no bit") {
  Gate g(DType::f32, 50, 8);
  test::fill_normal(g.logits, 6);
  const RouterParams params = params_of(true);
  router_forward(g.ctx, g.out, g.logits, {}, params);
  std::vector<float> weights(g.out.weights.get<float>(), g.out.weights.get<float>() + 100);
  std::copy_n(g.out.experts.get<int32_t>(), 100, g.forced.get<int32_t>());
  router_replay(g.ctx, g.out, g.forced, g.differing, params);
  for (size_t i = 0; i < 100; ++i) CHECK(g.out.weights.get<float>()[i] == weights[i]);
  for (int64_t t = 0; t < 50; ++t) CHECK(g.differing.get<int32_t>()[t] == 0);
}

TEST_CASE("router replay: the gradient flows through the scores of the forced experts") {
  for (const bool normalised : {true, false}) {
    Gate g(DType::f64, 5, 6);
    test::fill_normal(g.logits, 7);
    for (int32_t t = 0; t < 5; ++t) g.force(t, t % 3, 3 + t % 3);
    const RouterParams params = params_of(normalised);
    Tensor dweights = g.arena.tensor("dweights", DType::f64, {5, 2});
    Tensor dlogits = g.arena.tensor("dlogits", DType::f64, {5, 6});
    test::fill_normal(dweights, 8);
    test::fill_constant(dlogits, 0.0);
    const auto loss = [&] {
      router_forward(g.ctx, g.out, g.logits, {}, params);
      router_replay(g.ctx, g.out, g.forced, {}, params);
      return test::dot_all(g.out.weights, dweights);
    };
    loss();
    router_backward(g.ctx, dlogits, dweights, g.out, params);
    CHECK(test::check_gradient(g.logits, dlogits, loss).relative < 1e-8);
  }
}
