#include "model/ops/head.h"

#include "model/ops/keep_logits.h"
#include "tests/model/ops/op_test.h"

namespace temper {
namespace {

using test::Tensors;

// A head over 4 rows: one without a target, sets of kept tokens for two.
struct Head {
  Tensors make;
  Context ctx{2};
  DType f = DType::f64;
  int64_t rows = 4, d = 7, v = 19;
  Tensor hidden = make.normal_slice(f, {rows, d}), lm_head = make.normal(f, {v, d});
  Tensor dlogprob = make.normal(f, {rows}), dentropy = make.normal(f, {rows});
  HeadTargets targets{.targets = make.ints({rows}, {3, -1, 18, 0})};

  LogProbOutputs outputs() {
    return {make.poisoned(f, {rows}), make.poisoned(f, {rows}), make.poisoned(f, {rows})};
  }
  void keep() {
    targets.kept_begin = make.ints({rows + 1}, {0, 3, 3, 5, 5});
    targets.kept_ids = make.ints({5}, {1, 3, 9, 17, 18});
  }
};

TEST_CASE("the head is the product, the cut and the log-probabilities one after the other",
          "[ops]") {
  Head h;
  const bool kept = GENERATE(false, true);
  if (kept) h.keep();
  h.targets.temperature = 0.6;
  const LogProbOutputs out = h.outputs(), expected = h.outputs();
  head_log_prob_forward(h.ctx, out, h.hidden, h.lm_head, h.targets);
  const Tensor logits = h.make.poisoned(h.f, {h.rows, h.v});
  linear_forward(h.ctx, logits, h.hidden, h.lm_head);
  if (kept) keep_logits(h.ctx, logits, h.targets.kept_begin, h.targets.kept_ids);
  log_prob_forward(h.ctx, expected, logits, h.targets.targets, h.targets.temperature);
  CHECK(test::relative_difference(out.logprob, expected.logprob) < 1e-14);
  CHECK(test::relative_difference(out.entropy, expected.entropy) < 1e-14);
  CHECK(test::relative_difference(out.lse, expected.lse) < 1e-14);
}

TEST_CASE("the head forward and back in one is one after the other", "[ops]") {
  Head h;
  const bool kept = GENERATE(false, true);
  if (kept) h.keep();
  h.targets.temperature = 0.6;
  const LogProbOutputs out = h.outputs(), expected = h.outputs();
  const Tensor dhidden = h.make.poisoned(h.f, {h.rows, h.d}), dlm_head = h.make.copy_of(h.lm_head);
  const Tensor expected_dhidden = h.make.poisoned(h.f, {h.rows, h.d});
  const Tensor expected_dlm_head = h.make.copy_of(h.lm_head);
  head_log_prob_linear(h.ctx, out, {fresh(dhidden), dlm_head}, h.dlogprob, h.hidden, h.lm_head,
                       h.targets);
  head_log_prob_forward(h.ctx, expected, h.hidden, h.lm_head, h.targets);
  head_log_prob_backward(h.ctx, {fresh(expected_dhidden), expected_dlm_head},
                         {h.dlogprob, {}, expected}, h.hidden, h.lm_head, h.targets);
  CHECK(test::relative_difference(out.logprob, expected.logprob) < 1e-14);
  CHECK(test::relative_difference(out.entropy, expected.entropy) < 1e-14);
  CHECK(test::relative_difference(out.lse, expected.lse) < 1e-14);
  CHECK(test::relative_difference(dhidden, expected_dhidden) < 1e-14);
  CHECK(test::relative_difference(dlm_head, expected_dlm_head) < 1e-14);
}

TEST_CASE("the head's gradients", "[ops][gradient]") {
  Head h;
  const bool with_entropy = GENERATE(false, true), kept = GENERATE(false, true);
  if (kept) h.keep();
  h.targets.temperature = GENERATE(1.0, 0.6);
  const LogProbOutputs out = h.outputs();
  const auto loss = [&] {
    head_log_prob_forward(h.ctx, out, h.hidden, h.lm_head, h.targets);
    return test::dot_all(out.logprob, h.dlogprob) +
           (with_entropy ? test::dot_all(out.entropy, h.dentropy) : 0.0);
  };
  loss();
  const Tensor dhidden = h.make.zeros_slice(h.f, {h.rows, h.d});
  const Tensor dlm_head = h.make.zeros(h.f, {h.v, h.d});
  const HeadGradients gradients{h.dlogprob, with_entropy ? h.dentropy : Tensor{}, out};
  const auto backward = [&] {
    head_log_prob_backward(h.ctx, {dhidden, dlm_head}, gradients, h.hidden, h.lm_head, h.targets);
  };
  backward();
  const Tensor twice_hidden = h.make.doubled(dhidden), twice_head = h.make.doubled(dlm_head);
  CHECK(test::check_gradient(h.hidden, dhidden, loss).relative < 1e-9);
  CHECK(test::check_gradient(h.lm_head, dlm_head, loss).relative < 1e-9);
  loss();
  backward();  // adds
  CHECK(test::relative_difference(dhidden, twice_hidden) < 1e-12);
  CHECK(test::relative_difference(dlm_head, twice_head) < 1e-12);
}

}  // namespace
}  // namespace temper
