// Learning-rate schedules and global-norm clipping in closed form.
#include "model/optim/schedule.h"

#include <cmath>

#include "model/optim/optimizer.h"
#include "tests/support/catch.h"
#include "tests/support/small_models.h"

using namespace temper;

TEST_CASE("schedule: warm-up is linear to the peak, whatever comes after") {
  for (const ScheduleKind kind :
       {ScheduleKind::constant, ScheduleKind::cosine, ScheduleKind::linear}) {
    const Schedule s{kind, 4e-3, 4, 100, 0.1};
    CHECK(learning_rate(s, 0) == Approx(1e-3));
    CHECK(learning_rate(s, 2) == Approx(3e-3));
    CHECK(learning_rate(s, 3) == Approx(4e-3));
    CHECK(learning_rate(s, 4) == Approx(4e-3));
  }
}

TEST_CASE("schedule: constant, cosine and linear by hand") {
  const Schedule constant{ScheduleKind::constant, 2.0, 0, 10, 0.1};
  const Schedule cosine{ScheduleKind::cosine, 2.0, 2, 10, 0.1};
  const Schedule linear{ScheduleKind::linear, 2.0, 2, 10, 0.1};
  CHECK(learning_rate(constant, 1000) == 2.0);
  CHECK(learning_rate(cosine, 6) == Approx(2.0 * (0.1 + 0.9 * 0.5)));  // half of 8 steps
  CHECK(learning_rate(linear, 6) == Approx(2.0 * (0.1 + 0.9 * 0.5)));
  CHECK(learning_rate(cosine, 4) == Approx(2.0 * (0.1 + 0.45 * (1.0 + std::sqrt(0.5)))));
  CHECK(learning_rate(linear, 4) == Approx(2.0 * (1.0 - 0.9 * 0.25)));
  for (const Schedule& s : {cosine, linear}) {
    CHECK(learning_rate(s, 10) == Approx(0.2));
    CHECK(learning_rate(s, 50) == Approx(0.2));  // stays at the final ratio
    for (int64_t step = 2; step < 10; ++step)
      CHECK(learning_rate(s, step + 1) < learning_rate(s, step));
  }
}

TEST_CASE("schedule: warm-up as long as the run is no division by zero") {
  for (const ScheduleKind kind : {ScheduleKind::cosine, ScheduleKind::linear}) {
    const Schedule s{kind, 1.0, 10, 10, 0.5};
    CHECK(learning_rate(s, 9) == 1.0);
    CHECK(learning_rate(s, 10) == 1.0);
    CHECK(learning_rate(s, 11) == 0.5);
  }
}

namespace {

double norm_of(Context& ctx, const OwnedWeights& grads) {
  return global_grad_norm(ctx, grads, {});
}

// One AdamW step from zero moments on gradients that are all `g`; returns the first weight's move.
double first_move(double g, double max_grad_norm, double lr, double weight_decay,
                  OwnedWeights* weights_out = nullptr) {
  Context ctx(1);
  const ModelConfig config = small_gqa_config();
  OwnedWeights weights = allocate_weights(config, DType::f64);
  OwnedWeights grads = allocate_weights(config, DType::f64);
  for (const NamedTensor& t : tensors_of(grads.view, config))
    for (int64_t i = 0; i < t.tensor->numel(); ++i) t.tensor->get<double>()[i] = g;
  for (const NamedTensor& t : tensors_of(weights.view, config))
    for (int64_t i = 0; i < t.tensor->numel(); ++i) t.tensor->get<double>()[i] = 1.0;
  OptimizerOptions options;
  options.max_grad_norm = max_grad_norm;
  options.weight_decay = weight_decay;
  options.eps = 1.0;  // makes the step depend on the gradient's size, which clipping changes
  OptimizerState state = make_optimizer_state(ctx, weights, options);
  optimizer_step(ctx, weights, state, grads, norm_of(ctx, grads), lr, options);
  const double move = 1.0 - weights.view.norm.get<double>()[0];
  if (weights_out != nullptr) *weights_out = std::move(weights);
  return move;
}

}  // namespace

TEST_CASE("clipping: the global norm is over every parameter once, tied ones included") {
  Context ctx(2);
  for (ModelConfig config : {small_v3_config(), small_gqa_config()}) {
    OwnedWeights grads = random_weights(config, DType::f64, 3);
    double squares = 0.0;
    for (const NamedTensor& t : tensors_of(grads.view, config)) {
      if (t.role == TensorRole::router_bias) continue;
      for (int64_t i = 0; i < t.tensor->numel(); ++i)
        squares += t.tensor->get<double>()[i] * t.tensor->get<double>()[i];
    }
    CHECK(norm_of(ctx, grads) == Approx(std::sqrt(squares)).epsilon(1e-12));
  }
}

TEST_CASE("clipping: scales to the largest norm, and leaves smaller gradients alone") {
  const double n = static_cast<double>(count_parameters(small_gqa_config()).total);
  // AdamW's first step with eps 1 is lr g / (|g| + 1) for every parameter.
  const double g = 0.01;
  CHECK(first_move(g, 0.0, 0.1, 0.0) == Approx(0.1 * g / (g + 1.0)).epsilon(1e-12));
  CHECK(first_move(g, 1e9, 0.1, 0.0) == Approx(0.1 * g / (g + 1.0)).epsilon(1e-12));
  const double norm = g * std::sqrt(n), clipped = g * 0.25 / norm;
  REQUIRE(norm > 0.25);
  CHECK(first_move(g, 0.25, 0.1, 0.0) == Approx(0.1 * clipped / (clipped + 1.0)).epsilon(1e-12));
}

TEST_CASE("weight decay is decoupled from the gradient and on every parameter") {
  ModelConfig config = small_gqa_config();
  OwnedWeights weights = allocate_weights(config, DType::f64);
  CHECK(first_move(0.0, 1.0, 0.1, 0.5, &weights) == Approx(0.1 * 0.5));
  for (const NamedTensor& t : tensors_of(weights.view, config))
    for (int64_t i = 0; i < t.tensor->numel(); ++i)
      REQUIRE(t.tensor->get<double>()[i] == Approx(0.95));
}
