// Logit distillation through the whole model. The row's loss: tests/model/ops/row_kl_test.cc.
#include "distill/trainer.h"
#include "model/checkpoint/transfer.h"
#include "tests/model/ops/op_test.h"
#include "tests/support/gpu.h"
#include "tests/support/small_models.h"

using namespace temper;
using test::Tensors;

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

TEST_CASE("cuda: the student's weights get the CPU's gradient of the KL") {
  if (test::no_gpu()) return;
  const KlDirection direction = GENERATE(KlDirection::forward, KlDirection::reverse);
  const ModelConfig config = small_gqa_config(), teacher_config = small_v3_config();
  std::vector<TrainSequence> batch;
  for (uint64_t s = 0; s < 3; ++s) {
    batch.push_back({.ids = random_ids(90, 37, s), .mask = std::vector<uint8_t>(90, 1)});
    batch.back().mask[0] = batch.back().mask[5] = 0;
  }
  const KlParams params{direction, 1.3, 3 * 88.0};
  struct Outcome {
    double kl;
    std::vector<double> gradient;
  };
  const auto run = [&](Context& ctx, OwnedWeights& student, const OwnedWeights& teacher) {
    TrainStep step(ctx, config, student, {});
    step.begin({3, 0});
    const double kl =
        accumulate_kl(ctx, step, student.view, teacher.view, teacher_config, batch, params);
    return Outcome{kl, download_doubles(ctx, step.gradients().storage.view)};
  };
  Context host(2), gpu(1, Device::cuda);
  OwnedWeights student = random_weights(config, DType::f32, 3);
  const OwnedWeights teacher = random_weights(teacher_config, DType::f32, 5);
  const Outcome expected = run(host, student, teacher);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    CAPTURE(name_of(dtype));
    OwnedWeights narrow = weights_on_device(gpu, student, config, dtype);
    const OwnedWeights narrow_teacher = weights_on_device(gpu, teacher, teacher_config, dtype);
    const Outcome got = run(gpu, narrow, narrow_teacher), again = run(gpu, narrow, narrow_teacher);
    CHECK(got.gradient == again.gradient);
    const bool exact = dtype == DType::f32;
    CHECK(got.kl == Approx(expected.kl).epsilon(exact ? 1e-5 : 2e-2));
    double off = 0.0, all = 0.0;
    REQUIRE(got.gradient.size() == expected.gradient.size());
    for (size_t i = 0; i < expected.gradient.size(); ++i) {
      off += std::pow(got.gradient[i] - expected.gradient[i], 2);
      all += std::pow(expected.gradient[i], 2);
    }
    CHECK(std::sqrt(off / all) < (exact ? 1e-4 : 6e-2));
  }
}
