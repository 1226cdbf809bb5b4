#include "model/ops/log_prob.h"

#include "model/ops/cpu/simd.h"
#include "model/ops/embedding.h"
#include "tests/model/ops/op_test.h"
#include "tests/support/worse.h"

namespace temper {
namespace {

using test::Tensors;

TEST_CASE("log-probabilities and entropy equal their definition", "[ops]") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const int64_t v = GENERATE(1, 5, 1003);
  const double temperature = GENERATE(1.0, 0.7);
  Tensors make;
  Context ctx(2);
  const Tensor logits = make.normal_slice(dtype, {3, v}, 3.0);
  const Tensor targets = make.ints({3}, {0, -1, static_cast<int32_t>(v - 1)});
  const LogProbOutputs out{make.poisoned(dtype, {3}), make.poisoned(dtype, {3}),
                           make.poisoned(dtype, {3})};
  log_prob_forward(ctx, out, logits, targets, temperature);
  dispatch_float(dtype, [&]<class T>() {
    const double margin = dtype == DType::f32 ? 3e-6 : 1e-13;
    for (int64_t t = 0; t < 3; ++t) {
      const auto z = [&](int64_t i) {
        return static_cast<double>(logits.row<T>(t)[i]) / temperature;
      };
      double sum = 0, entropy = 0;
      for (int64_t i = 0; i < v; ++i) sum += std::exp(z(i));
      for (int64_t i = 0; i < v; ++i) entropy -= std::exp(z(i)) / sum * (z(i) - std::log(sum));
      const int32_t target = targets.get<int32_t>()[t];
      const double logprob = target < 0 ? 0.0 : z(target) - std::log(sum);
      CHECK(static_cast<double>(out.lse.get<T>()[t]) == Approx(std::log(sum)).margin(margin));
      CHECK(static_cast<double>(out.entropy.get<T>()[t]) == Approx(entropy).margin(margin));
      CHECK(static_cast<double>(out.logprob.get<T>()[t]) == Approx(logprob).margin(margin));
    }
  });
}

TEST_CASE("log-probabilities do not overflow, and a NaN shows", "[ops]") {
  Tensors make;
  Context ctx(1);
  const float inf = std::numeric_limits<float>::infinity();
  const Tensor logits = make.zeros(DType::f32, {3, 4}), targets = make.ints({3}, {0, 1, 2});
  const float rows[3][4] = {{3e4f, 2.9e4f, -3e4f, 0}, {-inf, 1, 1, -inf}, {0, 0, NAN, 0}};
  for (int64_t t = 0; t < 3; ++t) std::copy(rows[t], rows[t] + 4, logits.row<float>(t));
  const LogProbOutputs out{make.poisoned(DType::f32, {3}), make.poisoned(DType::f32, {3}),
                           make.poisoned(DType::f32, {3})};
  log_prob_forward(ctx, out, logits, targets, 1.0);
  CHECK(out.logprob.get<float>()[0] == 0.0f);
  CHECK(out.logprob.get<float>()[1] == Approx(std::log(0.5)));
  CHECK(out.entropy.get<float>()[1] == Approx(std::log(2.0)));
  CHECK(std::isnan(out.logprob.get<float>()[2]));
}

TEST_CASE("log_prob's gradients", "[ops][gradient]") {
  const bool with_entropy = GENERATE(false, true);
  const double temperature = GENERATE(1.0, 0.6);
  Tensors make;
  Context ctx(2);
  const DType f = DType::f64;
  const int64_t rows = 4, v = 19;
  const Tensor logits = make.normal_slice(f, {rows, v}, 2.0);
  const Tensor targets = make.ints({rows}, {3, -1, 18, 0});
  const Tensor dlogprob = make.normal(f, {rows}), dentropy = make.normal(f, {rows});
  const LogProbOutputs out{make.poisoned(f, {rows}), make.poisoned(f, {rows}),
                           make.poisoned(f, {rows})};
  const auto loss = [&] {
    log_prob_forward(ctx, out, logits, targets, temperature);
    return test::dot_all(out.logprob, dlogprob) +
           (with_entropy ? test::dot_all(out.entropy, dentropy) : 0.0);
  };
  loss();
  const Tensor gradient = make.copy_of(logits);
  log_prob_backward(ctx, gradient, dlogprob, with_entropy ? dentropy : Tensor{}, out, targets,
                    temperature);
  CHECK(test::check_gradient(logits, gradient, loss).relative < 1e-9);
}

TEST_CASE("the fast exponential is within 2 ulp and has no place of its own", "[ops]") {
  double worst = 0;
  for (int i = 0; i < 400000; ++i) {
    const float x = -87.3f + static_cast<float>(i) * (175.0f / 400000.0f);
    const double exact = std::exp(static_cast<double>(x));
    const float nearest = static_cast<float>(exact);
    const double ulp = static_cast<double>(std::nextafter(nearest, 3e38f) - nearest);
    worst = test::worse(worst, std::abs(static_cast<double>(cpu::fast_exp(x)) - exact) / ulp);
  }
  CHECK(worst < 2.0);
  CHECK(cpu::fast_exp(0.0f) == 1.0f);
  CHECK(cpu::fast_exp(-std::numeric_limits<float>::infinity()) == 0.0f);
  CHECK(std::isnan(cpu::fast_exp(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("embedding gathers rows and adds gradients of repeated ids", "[ops][gradient]") {
  Tensors make;
  Context ctx(2);
  const DType f = DType::f64;
  const Tensor table = make.normal_slice(f, {7, 5}), ids = make.ints({6}, {3, 3, 0, 6, 3, 0});
  const Tensor y = make.slice(f, {6, 5}), dy = make.normal_slice(f, {6, 5});
  const Tensor dtable = make.zeros_slice(f, {7, 5});
  const auto loss = [&] {
    embedding_forward(ctx, y, table, ids);
    return test::dot_all(y, dy);
  };
  embedding_backward(ctx, dtable, dy, ids);
  CHECK(test::check_gradient(table, dtable, loss).relative < 1e-10);
  const Tensor twice = make.doubled(dtable);
  embedding_backward(ctx, dtable, dy, ids);
  CHECK(test::relative_difference(dtable, twice) < 1e-14);
  CHECK_THROWS_AS(embedding_forward(ctx, y, table, make.ints({6}, {0, 0, 0, 0, 0, 7})),
                  ContractError);
  CHECK_THROWS_AS(embedding_forward(ctx, y, table, make.ints({6}, {0, 0, -1, 0, 0, 0})),
                  ContractError);
}

}  // namespace
}  // namespace temper
