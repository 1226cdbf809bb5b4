#include "model/ops/permute.h"

#include "tests/model/ops/op_test.h"

namespace temper {
namespace {

using test::Tensors;

struct Plan {
  Tensor experts;
  ExpertPlan plan;
  Plan(Tensors& make, int64_t tokens, int64_t k, int64_t count, const std::vector<int32_t>& choice)
      : experts(make.ints({tokens, k}, choice)) {
    const std::vector<int32_t> wrong(static_cast<size_t>(tokens * k), -9);
    plan = {make.ints({tokens, k}, wrong), make.ints({tokens * k}, wrong),
            make.ints({count + 1}, {})};
    Context ctx(1);
    plan_experts(ctx, plan, experts);
  }
};

std::vector<int32_t> values(const Tensor& t) {
  return {t.get<int32_t>(), t.get<int32_t>() + t.numel()};
}

const std::vector<int32_t> kChoices = {1, 4, 0, 1, 1, 4, 0, 4};  // 4 tokens, 2 of 6 experts each

TEST_CASE("the expert plan sorts by expert, then token, and knows empty experts", "[ops]") {
  Tensors make;
  const Plan p(make, 4, 2, 6, kChoices);
  using Ints = std::vector<int32_t>;
  CHECK(values(p.plan.offsets) == Ints{0, 2, 5, 5, 5, 8, 8});
  CHECK(values(p.plan.token_of) == Ints{1, 3, 0, 1, 2, 0, 2, 3});
  CHECK(values(p.plan.row_of) == Ints{2, 5, 0, 3, 4, 6, 1, 7});
  Context ctx(1);
  CHECK_THROWS_AS(plan_experts(ctx, p.plan, make.ints({4, 2}, {0, 1, 2, 3, 4, 5, 6, 0})),
                  ContractError);
}

TEST_CASE("gather and combine: closed form, gradients, adding", "[ops][gradient]") {
  Tensors make;
  Context ctx(2);
  const DType f = DType::f64;
  const int64_t d = 9;
  const Plan p(make, 4, 2, 6, kChoices);
  const Tensor x = make.normal_slice(f, {4, d}), rows = make.slice(f, {8, d});
  gather_rows_forward(ctx, rows, x, p.plan.token_of);
  for (int64_t r = 0; r < 8; ++r)
    CHECK(rows.row<double>(r)[d - 1] == x.row<double>(p.plan.token_of.get<int32_t>()[r])[d - 1]);

  const Tensor spread = make.slice(f, {8, d});
  spread_rows(ctx, spread, x, p.plan.row_of);
  CHECK(test::same_bits(spread, rows));

  const Tensor drows = make.normal_slice(f, {8, d}), dx = make.zeros_slice(f, {4, d});
  const auto gathered = [&] {
    gather_rows_forward(ctx, rows, x, p.plan.token_of);
    return test::dot_all(rows, drows);
  };
  gather_rows_backward(ctx, dx, drows, p.plan.row_of);
  CHECK(test::check_gradient(x, dx, gathered).relative < 1e-9);
  const Tensor twice = make.doubled(dx);
  gather_rows_backward(ctx, dx, drows, p.plan.row_of);
  CHECK(test::relative_difference(dx, twice) < 1e-14);
}

TEST_CASE("combine adds the weighted rows of each token", "[ops]") {
  Tensors make;
  Context ctx(2);
  const DType f = DType::f64;
  const int64_t d = 9;
  const Plan p(make, 4, 2, 6, kChoices);
  const Tensor x = make.normal_slice(f, {8, d}), weights = make.normal(f, {4, 2});
  const Tensor y = make.normal_slice(f, {4, d}), before = make.copy_of(y);
  combine_forward(ctx, y, {x, weights, p.plan.row_of});
  for (int64_t t = 0; t < 4; ++t)
    for (int64_t i = 0; i < d; ++i) {
      double expected = before.row<double>(t)[i];
      for (int64_t k = 0; k < 2; ++k)
        expected += weights.row<double>(t)[k] * x.row<double>(p.plan.row_of.row<int32_t>(t)[k])[i];
      CHECK(y.row<double>(t)[i] == Approx(expected).epsilon(1e-14));
    }
}

}  // namespace
}  // namespace temper
