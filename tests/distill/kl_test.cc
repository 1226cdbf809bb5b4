// Logit distillation: the row's loss against its definition and its own gradient, then through the
// whole model.
#include "distill/kl.h"

#include <cmath>

#include "distill/trainer.h"
#include "tests/model/ops/op_test.h"
#include "tests/support/small_models.h"

using namespace temper;
using test::Tensors;

namespace {

std::vector<double> softmax(const std::vector<double>& z, double temperature) {
  double sum = 0;
  std::vector<double> p;
  for (const double x : z) sum += std::exp(x / temperature);
  for (const double x : z) p.push_back(std::exp(x / temperature) / sum);
  return p;
}

double kl(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t v = 0; v < a.size(); ++v) sum += a[v] * std::log(a[v] / b[v]);
  return sum;
}

}  // namespace

TEST_CASE("forward and reverse KL equal their definition") {
  const std::vector<double> student{0.3, -1.2, 2.0, 0.0}, teacher{1.1, 0.4, -0.5, 0.2};
  for (const double temperature : {1.0, 2.5}) {
    const auto p = softmax(student, temperature), q = softmax(teacher, temperature);
    std::vector<double> z = student;
    CHECK(kl_row(KlDirection::forward, z, teacher, temperature, 1.0) == Approx(kl(q, p)));
    z = student;
    CHECK(kl_row(KlDirection::reverse, z, teacher, temperature, 1.0) == Approx(kl(p, q)));
    std::vector<float> zf(student.begin(), student.end());
    const std::vector<float> tf(teacher.begin(), teacher.end());
    CHECK(kl_row(KlDirection::forward, zf, tf, temperature, 1.0) == Approx(kl(q, p)));
  }
  std::vector<double> same = teacher;
  CHECK(kl_row(KlDirection::forward, same, teacher, 1.0, 1.0) == Approx(0.0).margin(1e-15));
  for (const double slope : same) CHECK(std::abs(slope) < 1e-15);
}

TEST_CASE("forward and reverse KL have the gradient of central differences", "[gradient]") {
  for (const KlDirection direction : {KlDirection::forward, KlDirection::reverse}) {
    const double temperature = GENERATE(1.0, 0.7), scale = 0.31;
    Tensors make;
    const Tensor student = make.normal(DType::f64, {1, 23}, 2.0);
    const Tensor teacher = make.normal(DType::f64, {1, 23}, 2.0);
    const std::span<const double> t(teacher.get<double>(), 23);
    const auto loss = [&] {
      std::vector<double> z(student.get<double>(), student.get<double>() + 23);
      return scale * kl_row(direction, z, t, temperature, 1.0);
    };
    const Tensor gradient = make.copy_of(student);
    kl_row(direction, std::span<double>(gradient.get<double>(), 23), t, temperature, scale);
    const auto error = test::check_gradient(student, gradient, loss);
    INFO(error.where);
    CHECK(error.relative < 1e-8);
  }
}

TEST_CASE("a token that a model never says does no harm where it may") {
  const double inf = std::numeric_limits<double>::infinity();
  std::vector<double> z{0.0, 1.0, 2.0};
  const std::vector<double> teacher{-inf, 1.0, 2.0};
  CHECK(std::isfinite(kl_row(KlDirection::forward, z, teacher, 1.0, 1.0)));
  for (const double slope : z) CHECK(std::isfinite(slope));
  z = {-inf, 1.0, 2.0};
  CHECK(std::isfinite(kl_row(KlDirection::reverse, z, {{0.0, 1.0, 2.0}}, 1.0, 1.0)));
}

TEST_CASE("the student's weights get the gradient of the KL, however the batch is cut",
          "[gradient]") {
  const KlDirection direction = GENERATE(KlDirection::forward, KlDirection::reverse);
  Context ctx(2);
  const ModelConfig config = small_gqa_config(), teacher_config = small_v3_config();
  OwnedWeights student = random_weights(config, DType::f64, 3);
  const OwnedWeights teacher = random_weights(teacher_config, DType::f64, 5);
  std::vector<TrainSequence> batch;
  for (uint64_t s = 0; s < 3; ++s) {
    TrainSequence sequence{.ids = random_ids(6 + static_cast<int64_t>(s), 37, s), .mask = {}};
    sequence.mask.assign(sequence.ids.size(), 1);
    sequence.mask[2] = 0;
    batch.push_back(sequence);
  }
  const KlParams params{direction, 1.3, 17.0};
  TrainStep step(ctx, config, student, {});
  const auto loss = [&](const std::vector<std::vector<TrainSequence>>& parts) {
    step.begin({3, 0});
    double sum = 0;
    for (const auto& part : parts)
      sum += accumulate_kl(ctx, step, student.view, teacher.view, teacher_config, part, params);
    return sum;
  };
  const double whole = loss({batch});
  Tensors make;
  const Tensor gradient = make.copy_of(step.gradients().storage.view);
  const double cut = loss({{batch[0]}, {batch[1], batch[2]}});
  CHECK(cut == Approx(whole).epsilon(1e-12));
  CHECK(test::relative_difference(step.gradients().storage.view, gradient) < 1e-12);
  const Tensor flat = student.storage.view;
  const auto error = test::check_gradient(
      flat, gradient, [&] { return loss({batch}); }, 40);
  INFO(error.where);
  CHECK(error.relative < 1e-7);
}

TEST_CASE("more rows than a chunk of logits holds give the same as fewer at a time") {
  Context ctx(2);
  const ModelConfig config = small_gqa_config();
  OwnedWeights student = random_weights(config, DType::f64, 3);
  const OwnedWeights teacher = random_weights(config, DType::f64, 4);
  std::vector<TrainSequence> batch;
  for (uint64_t s = 0; s < 3; ++s) {
    batch.push_back({.ids = random_ids(70, 37, s), .mask = std::vector<uint8_t>(70, 1)});
    batch.back().mask[0] = 0;
  }
  REQUIRE(3 * 69 > head_chunk(Device::cpu, config.vocab_size));
  const KlParams params{KlDirection::reverse, 1.0, 3 * 69.0};
  TrainStep step(ctx, config, student, {});
  Tensors make;
  step.begin({3, 0});
  const double whole = accumulate_kl(ctx, step, student.view, teacher.view, config, batch, params);
  const Tensor gradient = make.copy_of(step.gradients().storage.view);
  step.begin({3, 0});
  double cut = 0;
  for (const TrainSequence& s : batch)
    cut += accumulate_kl(ctx, step, student.view, teacher.view, config, {&s, 1}, params);
  CHECK(cut == Approx(whole).epsilon(1e-12));
  CHECK(test::relative_difference(step.gradients().storage.view, gradient) < 1e-12);
}
