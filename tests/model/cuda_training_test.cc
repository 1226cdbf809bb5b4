// Training and generating on the GPU: against the CPU, against itself, and against each other.
#include <cmath>
#include <cstring>
#include <functional>
#include <string>

#include "model/checkpoint/resume.h"
#include "model/checkpoint/transfer.h"
#include "model/ops/elementwise.h"
#include "model/optim/loss_scale.h"
#include "model/training/train_step.h"
#include "rollout/engine.h"
#include "sft/loss.h"
#include "tests/support/catch.h"
#include "tests/support/gpu.h"
#include "tests/support/small_models.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/worse.h"

using namespace temper;
using test::no_gpu;

namespace {

// Sequences with something to learn: each repeats a short random pattern.
std::vector<TrainSequence> patterns(const ModelConfig& config, int64_t count) {
  std::vector<TrainSequence> all;
  for (int64_t s = 0; s < count; ++s) {
    const std::vector<int32_t> pattern =
        random_ids(3 + s % 4, config.vocab_size, static_cast<uint64_t>(100 + s));
    TrainSequence& sequence = all.emplace_back();
    for (int64_t i = 0; i < 20 + s % 7; ++i)
      sequence.ids.push_back(pattern[static_cast<size_t>(i) % pattern.size()]);
    sequence.mask.assign(sequence.ids.size(), 1);
    sequence.mask[0] = 0;
  }
  return all;
}

TrainOptions options_for(const ModelConfig& config) {
  TrainOptions options;
  options.optimizer.weight_decay = 0.01;
  if (config.n_routed_experts > 0) options.balance_alpha = 1e-4;
  if (config.num_nextn_predict_layers > 0) options.mtp_weight = 0.1;
  return options;
}

// A model in training on one device, from the same start on each.
struct Trained {
  ModelConfig config;
  Context ctx;
  OwnedWeights weights;
  TrainStep step;

  Trained(const ModelConfig& c, Device device, DType dtype)
      : config(c),
        ctx(2, device),
        weights(start(c, dtype)),
        step(ctx, config, weights, options_for(c)) {
    test::take_card(ctx);
  }

  OwnedWeights start(const ModelConfig& c, DType dtype) {
    OwnedWeights host = allocate_weights(c, DType::f32);
    initialize_weights(host.view, c, 11);
    return ctx.device == Device::cpu ? std::move(host) : weights_on_device(ctx, host, c, dtype);
  }
  std::vector<double> losses(const std::vector<TrainSequence>& batch, int steps) {
    const double normaliser = static_cast<double>(count_targets(batch));
    std::vector<double> all;
    for (int i = 0; i < steps; ++i) {
      double loss = 0.0;
      step.begin(count_global(batch, static_cast<int64_t>(weights.view.mtp.size())));
      step.accumulate(batch,
                      [&](TokenLoss& tokens) { loss += sft_loss(tokens, batch, normaliser); });
      step.finish(2e-3);
      all.push_back(loss);
    }
    return all;
  }
  std::vector<double> numbers() { return download_doubles(ctx, step.optimizer().m.view); }
};

}  // namespace

// In f16, whose gradients carry a factor, within half of that.
TEST_CASE("cuda: 50 SFT steps in 16 bits follow the CPU's f32 curve within 1 %") {
  if (test::no_gpu()) return;
  for (const ModelConfig& config : {small_v3_config(), small_gqa_config()}) {
    const std::vector<TrainSequence> batch = patterns(config, 16);
    Trained cpu(config, Device::cpu, DType::f32);
    const std::vector<double> want = cpu.losses(batch, 50);
    REQUIRE(want.back() < 0.8 * want.front());
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      Trained gpu(config, Device::cuda, dtype);
      const std::vector<double> got = gpu.losses(batch, 50);
      double most = 0.0;
      for (size_t i = 0; i < want.size(); ++i)
        most = test::worse(most, std::abs(got[i] - want[i]) / want[i]);
      WARN(name_of(dtype) << ": off by at most " << most);
      CHECK(most <= (dtype == DType::f16 ? 0.005 : 0.01));
      CHECK(update_norm(gpu.ctx, gpu.step.optimizer()) ==
            Approx(update_norm(cpu.ctx, cpu.step.optimizer())).epsilon(0.1));
    }
  }
}

TEST_CASE(
    "cuda: an update in f16 whose gradients overflow is skipped, and the next factor halved") {
  if (test::no_gpu()) return;
  const ModelConfig config = small_gqa_config();
  const std::vector<TrainSequence> batch = patterns(config, 4);
  Trained model(config, Device::cuda, DType::f16);
  const OptimizerState& o = model.step.optimizer();
  const LossScale scale(o.loss_scale.view);
  model.losses(batch, 1);
  CHECK(scale.factor() == kFirstLossScale);
  CHECK(model.step.report().loss_scale == kFirstLossScale);
  CHECK(update_norm(model.ctx, o) > 0.0);
  o.loss_scale.view.get<double>()[0] = 0x1p40;  // gradients of millions
  const std::vector<double> moments = model.numbers();
  const double loss = model.losses(batch, 1)[0];
  CHECK(o.step == 1);
  CHECK(model.numbers() == moments);
  CHECK(scale.factor() == 0x1p39);
  CHECK(model.step.report().skipped_updates == 1);
  CHECK(update_norm(model.ctx, o) == 0.0);
  CHECK(model.losses(batch, 1)[0] == loss);  // nor have the weights moved
  for (int i = 0; i < 30 && o.step == 1; ++i) model.losses(batch, 1);
  CHECK(o.step == 2);  // it came down to where gradients fit
  CHECK(model.numbers() != moments);
}

TEST_CASE("cuda: what f16 cannot hold ends a step with an error that names bf16") {
  if (test::no_gpu()) return;
  const ModelConfig config = small_gqa_config();
  const std::vector<TrainSequence> batch = patterns(config, 4);
  Trained model(config, Device::cuda, DType::f16);
  scale(model.ctx, model.weights.view.norm, 1e6);  // hidden states of millions
  const double normaliser = static_cast<double>(count_targets(batch));
  const auto hint_of = [&](const std::function<void()>& step) {
    try {
      step();
    } catch (const UserError& error) {
      return error.blame().hint;
    }
    return std::string();
  };
  CHECK(hint_of([&] { model.losses(batch, 1); }).find("--dtype bf16") != std::string::npos);
  CHECK(hint_of([&] {
          model.step.begin(count_global(batch, 0));
          model.step.accumulate_linear(batch, sft_gradient(batch, normaliser));
          model.step.finish(1e-3);
        }).find("--dtype bf16") != std::string::npos);
  CHECK(model.step.optimizer().step == 0);
}

TEST_CASE("cuda: two runs of a training end in the same bits") {
  if (test::no_gpu()) return;
  const ModelConfig config = small_v3_config();
  const std::vector<TrainSequence> batch = patterns(config, 16);
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    Trained a(config, Device::cuda, dtype), b(config, Device::cuda, dtype);
    CHECK(a.losses(batch, 5) == b.losses(batch, 5));
    CHECK(a.numbers() == b.numbers());
  }
}

TEST_CASE("cuda: a resumed training ends in the bits of one that was not interrupted") {
  if (test::no_gpu()) return;
  const ModelConfig config = small_v3_config();
  const std::vector<TrainSequence> batch = patterns(config, 16);
  for (const auto& [dtype, stored_as] :
       {std::pair(DType::bf16, StoredAs::f32), std::pair(DType::bf16, StoredAs::bf16),
        std::pair(DType::f16, StoredAs::f32), std::pair(DType::f16, StoredAs::bf16)}) {
    Trained straight(config, Device::cuda, dtype), first(config, Device::cuda, dtype);
    const std::vector<double> want = straight.losses(batch, 6);
    first.losses(batch, 3);
    TemporaryFolder dir;
    const OptimizerState& o = first.step.optimizer();
    save_training_checkpoint(first.ctx, dir / "c", first.weights, config,
                             {o.low.view, o.m.view, o.v.view, o.step, o.loss_scale.view},
                             {.step = 3}, {.stored_as = stored_as});
    Trained second(config, Device::cuda, dtype);
    OptimizerState& p = second.step.optimizer();
    p.step = TrainingCheckpoint(dir / "c").restore(
        second.ctx, second.weights, config, {p.low.view, p.m.view, p.v.view, 0, p.loss_scale.view});
    const std::vector<double> got = second.losses(batch, 3);
    CHECK(got == std::vector<double>(want.begin() + 3, want.end()));
    CHECK(second.numbers() == straight.numbers());
  }
}

TEST_CASE("cuda: the gradient's norm is that of the gradients, of one micro-batch or of two") {
  if (no_gpu()) return;
  ModelConfig config = small_v3_config();
  config.num_nextn_predict_layers = 0;
  const std::vector<TrainSequence> batch = patterns(config, 64);
  const auto gradients = sft_gradient(batch, static_cast<double>(count_targets(batch)));
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    Trained model(config, Device::cuda, dtype);
    for (const size_t parts : {1, 2, 1}) {
      model.step.begin(count_global(batch, 0));
      const size_t each = batch.size() / parts;
      for (size_t at = 0; at < batch.size(); at += each)
        model.step.accumulate_linear({batch.data() + at, each},
                                     {gradients.begin() + static_cast<std::ptrdiff_t>(at),
                                      gradients.begin() + static_cast<std::ptrdiff_t>(at + each)});
      const double scale = model.step.loss_scale();
      const double norm = model.step.finish(1e-3).grad_norm;
      const double squares = sum_of_squares(model.ctx, model.step.gradients().storage.view);
      CHECK(norm == Approx(std::sqrt(squares) / scale).epsilon(1e-6));
    }
  }
}

TEST_CASE("cuda: memory that runs out is told with the plan and what lives in the arenas") {
  if (test::no_gpu()) return;
  const ModelConfig config = small_v3_config();
  Trained model(config, Device::cuda, DType::bf16);
  const std::vector<TrainSequence> batch = patterns(config, 16);
  const std::vector<double> before = model.losses(batch, 1);
  std::vector<TrainSequence> large;
  for (int64_t s = 0; s < 64; ++s) {
    large.push_back({.ids = random_ids(2048, config.vocab_size, static_cast<uint64_t>(s)),
                     .mask = std::vector<uint8_t>(2048, 1)});
    large.back().mask[0] = 0;
  }
  {
    const int64_t spared = int64_t{64} << 20;
    const Buffer others(static_cast<size_t>(available_memory(Device::cuda) - spared), Device::cuda);
    try {
      model.step.begin(count_global(large, static_cast<int64_t>(model.weights.view.mtp.size())));
      model.step.accumulate(large, [](TokenLoss&) {});
      FAIL("it fitted");
    } catch (const SystemError& error) {
      const std::string text = error.what();
      INFO(text);
      for (const char* part : {"the GPU is out of memory", "MiB asked for", "memory plan",
                               "activations of this micro-batch", "--micro-batch-tokens"})
        CHECK(text.find(part) != std::string::npos);
    }
  }
  CHECK(model.losses(batch, 1).front() < before.front());  // the step goes on
}

namespace {

// Trainer against rollout over all tokens that were drawn.
struct Mismatch {
  double mean = 0.0, kl = 0.0, most = 0.0;
  int64_t tokens = 0;
};

// With `replay` every token goes to the experts that it met in the rollout.
Mismatch mismatch_of(Trained& model, const std::vector<RolloutRequest>& requests,
                     const RolloutOutput& output, bool replay) {
  Mismatch m;
  for (size_t r = 0; r < requests.size(); ++r) {
    for (const SampleResult& sample : output.samples[r]) {
      TrainSequence whole{requests[r].prompt, {}};
      whole.ids.insert(whole.ids.end(), sample.ids.begin(), sample.ids.end());
      whole.mask.assign(whole.ids.size(), 1);
      whole.mask[0] = 0;
      if (replay) whole.experts = sample.experts;
      const TokenLoss scored = model.step.score(model.weights.view, {&whole, 1});
      for (size_t i = 0; i < sample.ids.size(); ++i, ++m.tokens) {
        const double gap = scored.logprob[0][requests[r].prompt.size() + i] - sample.logprobs[i];
        m.mean += std::abs(gap);
        m.kl += std::exp(gap) - 1.0 - gap;
        m.most = test::worse(m.most, std::abs(gap));
      }
    }
  }
  m.mean /= static_cast<double>(m.tokens), m.kl /= static_cast<double>(m.tokens);
  return m;
}

}  // namespace

// Where a gate of the trainer chooses otherwise than the rollout's, a token's gap is of another
// size: so both with and without replay.
TEST_CASE("cuda: rollout's log-probabilities are the trainer's") {
  if (test::no_gpu()) return;
  for (const ModelConfig& config : {small_v3_config(), small_gqa_config()}) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      INFO(name_of(dtype));
      Trained model(config, Device::cuda, dtype);
      const std::vector<TrainSequence> batch = patterns(config, 16);
      model.losses(batch, 30);
      std::vector<RolloutRequest> requests;
      for (size_t i = 0; i < batch.size(); ++i) {
        RolloutRequest& request = requests.emplace_back();
        request.prompt.assign(batch[i].ids.begin(), batch[i].ids.begin() + 6);
        request.max_new_tokens = 24;
        request.samples = 4;
        request.key.prompt = static_cast<uint32_t>(i);
        request.experts = config.n_routed_experts > 0;
      }
      RolloutEngine engine(model.ctx, model.weights.view, config);
      const RolloutOutput output = engine.run(requests);
      const bool wide = dtype == DType::f32, half = dtype == DType::f16;
      for (const bool replay : {false, true}) {
        if (replay && config.n_routed_experts == 0) continue;
        const Mismatch m = mismatch_of(model, requests, output, replay);
        WARN(name_of(dtype) << (replay ? ", replayed" : "") << ": mean " << m.mean << " nats, KL "
                            << m.kl << ", largest " << m.most);
        CHECK(m.tokens > 1000);
        CHECK(m.mean <= (wide ? 1e-5 : half ? 5e-4 : 5e-3));
        CHECK(m.kl <= (wide ? 1e-8 : half ? 2e-6 : 1e-4));
        if (replay) CHECK(m.most <= (wide ? 1e-4 : half ? 4e-3 : 3e-2));
      }
    }
  }
}
