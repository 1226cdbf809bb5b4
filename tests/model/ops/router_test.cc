#include "model/ops/router.h"

#include "tests/model/ops/op_test.h"
#include "tests/support/balance_loss.h"

namespace temper {
namespace {

using test::Tensors;

struct Routed {
  RouterOutputs out;
  Routed(Tensors& make, DType dtype, int64_t tokens, int64_t experts, int64_t top_k)
      : out{make.ints({tokens, top_k},
                      std::vector<int32_t>(static_cast<size_t>(tokens * top_k), -7)),
            make.poisoned(dtype, {tokens, top_k}), make.poisoned(dtype, {tokens, experts})} {}
  std::vector<int32_t> chosen(int64_t t) const {
    const int32_t* row = out.experts.row<int32_t>(t);
    return {row, row + out.experts.cols()};
  }
};

Tensor row_of(Tensors& make, std::vector<double> values) {
  const Tensor t = make.zeros(DType::f64, {1, static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), t.get<double>());
  return t;
}

Tensor bias_of(Tensors& make, std::vector<float> values) {
  const Tensor t = make.zeros(DType::f32, {static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), t.get<float>());
  return t;
}

RouterParams params_of(int64_t top_k, int64_t n_group, int64_t topk_group) {
  RouterParams params;
  params.top_k = top_k;
  params.n_group = n_group;
  params.topk_group = topk_group;
  return params;
}

using Chosen = std::vector<int32_t>;

TEST_CASE("router: ties go to the lower index, experts ascend", "[ops]") {
  Tensors make;
  Context ctx(1);
  const Routed r(make, DType::f64, 1, 6, 3);
  router_forward(ctx, r.out, row_of(make, {0, 2, 0, 1, 0, 0}), {}, params_of(3, 1, 1));
  CHECK(r.chosen(0) == Chosen{0, 1, 3});
}

TEST_CASE("router: the bias selects and never weighs", "[ops]") {
  Tensors make;
  Context ctx(1);
  RouterParams params = params_of(2, 1, 1);
  params.routed_scaling_factor = 2.5;
  const Tensor logits = row_of(make, {1.0, 0.5, -1.0, 0.0});
  const Routed r(make, DType::f64, 1, 4, 2);
  router_forward(ctx, r.out, logits, bias_of(make, {-5, 0, 5, 0}), params);
  CHECK(r.chosen(0) == Chosen{1, 2});
  const double s1 = 1 / (1 + std::exp(-0.5)), s2 = 1 / (1 + std::exp(1.0));
  CHECK(r.out.weights.get<double>()[0] == Approx(2.5 * s1 / (s1 + s2)));
  CHECK(r.out.weights.get<double>()[1] == Approx(2.5 * s2 / (s1 + s2)));
  params.norm_topk_prob = false;
  router_forward(ctx, r.out, logits, bias_of(make, {-5, 0, 5, 0}), params);
  CHECK(r.out.weights.get<double>()[0] == Approx(2.5 * s1));
}

TEST_CASE("router: closed groups stay closed where every open score is negative", "[ops]") {
  Tensors make;
  Context ctx(1);
  // Group sums of two: {-2.2, -1.0, -3}: group 1 is open though its experts are below zero.
  const Tensor logits = row_of(make, {0, 0, 0, 0, 0, 0});
  const Tensor bias = bias_of(make, {-0.9f, -2.3f, -1.0f, -1.0f, -2, -2});
  const Routed r(make, DType::f64, 1, 6, 2);
  router_forward(ctx, r.out, logits, bias, params_of(2, 3, 1));
  CHECK(r.chosen(0) == Chosen{2, 3});
}

TEST_CASE("router: V3 scores groups by their top two, V2 by their best", "[ops]") {
  Tensors make;
  Context ctx(1);
  const Tensor logits = row_of(make, {3.0, -4.0, -4.0, 1.0, 1.0, -4.0});
  const Routed r(make, DType::f64, 1, 6, 2);
  router_forward(ctx, r.out, logits, {}, params_of(2, 2, 1));
  CHECK(r.chosen(0) == Chosen{3, 4});
  RouterParams v2 = params_of(2, 2, 1);
  v2.has_correction_bias = false;
  v2.scoring_func = ScoringFunc::softmax;
  v2.norm_topk_prob = false;
  router_forward(ctx, r.out, logits, {}, v2);
  CHECK(r.chosen(0) == Chosen{0, 1});  // of the tie in the open group the lower index
  double sum = 0;
  for (int e = 0; e < 6; ++e) sum += r.out.scores.get<double>()[e];
  CHECK(sum == Approx(1.0));
  CHECK(r.out.weights.get<double>()[0] == r.out.scores.get<double>()[0]);
  v2.group_limited = false;  // greedy
  router_forward(ctx, r.out, logits, {}, v2);
  CHECK(r.chosen(0) == Chosen{0, 3});
}

TEST_CASE("router: NaN logits still give distinct experts, impossible shapes are refused",
          "[ops]") {
  Tensors make;
  Context ctx(1);
  const Routed r(make, DType::f64, 1, 4, 3);
  router_forward(ctx, r.out, row_of(make, {NAN, NAN, NAN, NAN}), {}, params_of(3, 1, 1));
  CHECK(r.chosen(0) == Chosen{0, 1, 2});
  CHECK(std::isnan(r.out.weights.get<double>()[0]));
  CHECK_THROWS_AS(router_forward(ctx, r.out, row_of(make, {0, 0, 0, 0}), {}, params_of(3, 2, 1)),
                  ContractError);
}

TEST_CASE("router's gradients", "[ops][gradient]") {
  const ScoringFunc scoring = GENERATE(ScoringFunc::sigmoid, ScoringFunc::softmax);
  const bool norm = GENERATE(false, true);
  Tensors make;
  Context ctx(2);
  const int64_t tokens = 11, experts = 12;
  RouterParams params = params_of(3, 4, 2);
  params.scoring_func = scoring;
  params.norm_topk_prob = norm;
  params.routed_scaling_factor = 1.7;
  const Tensor logits = make.normal_slice(DType::f64, {tokens, experts});
  const Tensor dweights = make.normal_slice(DType::f64, {tokens, 3});
  const Routed r(make, DType::f64, tokens, experts, 3);
  const auto loss = [&] {
    router_forward(ctx, r.out, logits, {}, params);
    return test::dot_all(r.out.weights, dweights);
  };
  loss();
  const Tensor dlogits = make.zeros_slice(DType::f64, {tokens, experts});
  router_backward(ctx, dlogits, dweights, r.out, params);
  CHECK(test::check_gradient(logits, dlogits, loss, 200, 1e-4).relative < 1e-8);
  loss();
  const Tensor twice = make.doubled(dlogits);
  router_backward(ctx, dlogits, dweights, r.out, params);
  CHECK(test::relative_difference(dlogits, twice) < 1e-14);
}

TEST_CASE("the balance loss of even routing is one a sequence", "[ops]") {
  Tensors make;
  Context ctx(1);
  const Tensor scores = make.zeros(DType::f64, {4, 4});
  test::fill_constant(scores, 0.5);
  for (int64_t t = 0; t < 4; ++t) scores.row<double>(t)[t] = 0.5 + 1e-12;  // each expert once
  const std::vector<int32_t> one = {0, 4}, three = {0, 2, 2, 4};
  CHECK(test::balance_loss(ctx, scores, one, params_of(1, 1, 1)) == Approx(1.0));
  CHECK(test::balance_loss(ctx, scores, three, params_of(1, 1, 1)) == Approx(2.0));
  test::fill_constant(scores, 0.0);
  for (int64_t t = 0; t < 4; ++t) scores.row<double>(t)[2] = 0.9;  // all to one expert: E / K
  CHECK(test::balance_loss(ctx, scores, one, params_of(1, 1, 1)) == Approx(4.0));
}

TEST_CASE("the balance loss's gradient", "[ops][gradient]") {
  const ScoringFunc scoring = GENERATE(ScoringFunc::sigmoid, ScoringFunc::softmax);
  Tensors make;
  Context ctx(2);
  const int64_t tokens = 9, experts = 6;
  RouterParams params = params_of(2, 1, 1);
  params.scoring_func = scoring;
  const std::vector<int32_t> cu = {0, 4, 9};
  const Tensor logits = make.normal(DType::f64, {tokens, experts});
  const Routed r(make, DType::f64, tokens, experts, 2);
  const auto loss = [&] {
    router_forward(ctx, r.out, logits, {}, params);
    return 0.3 * test::balance_loss(ctx, r.out.scores, cu, params);
  };
  loss();
  const Tensor dlogits = make.zeros_slice(DType::f64, {tokens, experts});
  const BalanceLoss balance{.coefficient = 0.3, .sequences = cu};
  router_backward(ctx, dlogits, {}, r.out, params, balance);
  CHECK(test::check_gradient(logits, dlogits, loss, 200, 1e-4).relative < 1e-8);
  loss();
  const Tensor twice = make.doubled(dlogits);
  router_backward(ctx, dlogits, {}, r.out, params, balance);
  CHECK(test::relative_difference(dlogits, twice) < 1e-14);
}

}  // namespace
}  // namespace temper
