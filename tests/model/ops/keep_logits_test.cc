// Logits cut to the sampler's sets: values, log-probabilities and their gradient through the head.
#include "model/ops/keep_logits.h"

#include <cmath>

#include "core/error.h"
#include "model/layers/lm_head.h"
#include "tests/support/catch.h"
#include "tests/support/gradient_check.h"

using namespace temper;

namespace {

Tensor ints(Arena& arena, const std::vector<int32_t>& values) {
  Tensor t = arena.tensor("ints", DType::i32, {static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), t.get<int32_t>());
  return t;
}

}  // namespace

TEST_CASE("keep_logits: what is in no set has probability 0; an empty set keeps all") {
  Context ctx(2);
  Arena arena;
  Tensor logits = arena.tensor("logits", DType::f32, {3, 5});
  test::fill_constant(logits, 0.5);
  keep_logits(ctx, logits, ints(arena, {0, 2, 2, 5}), ints(arena, {1, 4, 0, 2, 3}));
  const float cut = -1e30f, kept = 0.5f;
  const float want[3][5] = {
      {cut, kept, cut, cut, kept}, {kept, kept, kept, kept, kept}, {kept, cut, kept, kept, cut}};
  for (int64_t r = 0; r < 3; ++r)
    for (int64_t v = 0; v < 5; ++v) CHECK(logits.row<float>(r)[v] == want[r][v]);
  CHECK_THROWS_AS(keep_logits(ctx, logits, ints(arena, {0, 1, 1, 1}), ints(arena, {5})),
                  ContractError);
  CHECK_THROWS_AS(keep_logits(ctx, logits, ints(arena, {0, 2, 2, 2}), ints(arena, {2, 1})),
                  ContractError);
}

TEST_CASE("keep_logits: the head is that of the renormalised distribution, with its gradient") {
  Context ctx(2);
  Arena arena;
  const int64_t tokens = 6, width = 4, vocab = 7;
  Tensor hidden = arena.tensor("hidden", DType::f64, {tokens, width});
  Tensor head = arena.tensor("head", DType::f64, {vocab, width});
  test::fill_normal(hidden, 1);
  test::fill_normal(head, 2);
  const HeadRows rows =
      make_head_rows(ctx, arena, std::vector<int32_t>{3, -1, 0, 6, -1, 2});  // four of them
  const int64_t count = rows.count();
  const HeadParams params{.temperature = 0.7,
                          .chunk_tokens = 3,
                          .kept_begin = ints(arena, {0, 2, 5, 6, 6}),
                          .kept_ids = ints(arena, {3, 5, 0, 1, 6, 6})};
  const auto outputs = [&] {
    LogProbOutputs out;
    for (Tensor* t : {&out.logprob, &out.entropy, &out.lse})
      *t = arena.tensor("out", DType::f64, {count});
    lm_head_forward(ctx, out, hidden, head, rows, params);
    return out;
  };
  const LogProbOutputs out = outputs();
  const auto logit = [&](int64_t t, int64_t v) {
    double z = 0.0;
    for (int64_t i = 0; i < width; ++i) z += hidden.row<double>(t)[i] * head.row<double>(v)[i];
    return z / 0.7;
  };
  const double gap = logit(0, 3) - logit(0, 5);
  CHECK(out.logprob.get<double>()[0] == Approx(-std::log1p(std::exp(-gap))));
  CHECK(out.logprob.get<double>()[2] == Approx(0.0).margin(1e-12));  // the only one kept
  CHECK(out.entropy.get<double>()[2] == Approx(0.0).margin(1e-12));

  // loss = sum of w_t logprob_t + u_t entropy_t
  Tensor w = arena.tensor("w", DType::f64, {count}), u = arena.tensor("u", DType::f64, {count});
  test::fill_normal(w, 3);
  test::fill_normal(u, 4);
  const auto loss = [&] {
    const LogProbOutputs o = outputs();
    double sum = 0.0;
    for (int64_t t = 0; t < count; ++t)
      sum += w.get<double>()[t] * o.logprob.get<double>()[t] +
             u.get<double>()[t] * o.entropy.get<double>()[t];
    return sum;
  };
  Tensor dhidden = arena.tensor("dhidden", DType::f64, {tokens, width});
  Tensor dhead = arena.tensor("dhead", DType::f64, {vocab, width});
  test::fill_constant(dhidden, 0.0);
  test::fill_constant(dhead, 0.0);
  lm_head_backward(ctx, {dhidden, dhead}, w, u, out, hidden, head, rows, params);
  CHECK(test::check_gradient(hidden, dhidden, loss).relative < 1e-8);
  CHECK(test::check_gradient(head, dhead, loss).relative < 1e-8);
}
