// Generating on the GPU: steps that run ahead of their results against steps one by one.
#include <cmath>

#include "model/checkpoint/transfer.h"
#include "rollout/engine.h"
#include "tests/support/catch.h"
#include "tests/support/gpu.h"
#include "tests/support/small_models.h"

using namespace temper;

namespace {

std::vector<RolloutRequest> requests_of(const ModelConfig& config) {
  std::vector<RolloutRequest> requests;
  for (uint32_t i = 0; i < 9; ++i) {
    RolloutRequest& r = requests.emplace_back();
    r.prompt = random_ids(1 + 7 * i % 40, config.vocab_size, 40 + i);
    r.samples = 1 + i % 4;
    r.max_new_tokens = 20 + i;
    if (i % 3 == 1) r.sampling = {.temperature = 0.8, .top_k = 20, .top_p = 0.9};
    if (i % 3 == 2) r.stop_ids = {3, 8, 11};
    r.key = {.seed = 5, .step = 1, .prompt = i};
    r.entropy = i % 2 == 0;
    r.experts = i % 4 == 3;
  }
  return requests;
}

// The largest difference of numbers; infinite where anything else differs.
double difference(const RolloutOutput& a, const RolloutOutput& b) {
  double worst = 0.0;
  const auto compare = [&](const std::vector<double>& x, const std::vector<double>& y) {
    if (x.size() != y.size()) worst = INFINITY;
    for (size_t t = 0; t < x.size() && t < y.size(); ++t)
      worst = std::max(worst, std::abs(x[t] - y[t]));
  };
  for (size_t i = 0; i < a.samples.size(); ++i) {
    for (size_t s = 0; s < a.samples[i].size(); ++s) {
      const SampleResult &x = a.samples[i][s], &y = b.samples[i][s];
      if (x.ids != y.ids || x.finish != y.finish) return INFINITY;
      if (x.experts.experts != y.experts.experts) return INFINITY;
      compare(x.logprobs, y.logprobs);
      compare(x.sampled_logprobs, y.sampled_logprobs);
      compare(x.entropies, y.entropies);
    }
  }
  return worst;
}

// The largest difference of the first tokens' log-probabilities where the same were drawn: later
// ones hang on these, which rounding may change.
double first_difference(const RolloutOutput& a, const RolloutOutput& b) {
  double worst = 0.0;
  size_t same = 0, all = 0;
  for (size_t i = 0; i < a.samples.size(); ++i)
    for (size_t s = 0; s < a.samples[i].size(); ++s) {
      const SampleResult &x = a.samples[i][s], &y = b.samples[i][s];
      ++all;
      if (x.ids.front() != y.ids.front()) continue;
      ++same;
      worst = std::max(worst, std::abs(x.logprobs.front() - y.logprobs.front()));
    }
  return 4 * same >= 3 * all ? worst : INFINITY;
}

}  // namespace

// A larger cache may get the address of the one before, but its layers lie elsewhere.
TEST_CASE("cuda: recorded steps are forgotten where the cache grows") {
  if (test::no_gpu()) return;
  const ModelConfig config = small_v3_config();
  Context ctx(2, Device::cuda);
  test::take_card(ctx);
  OwnedWeights host = allocate_weights(config, DType::f32);
  initialize_weights(host.view, config, 11);
  const OwnedWeights weights = weights_on_device(ctx, host, config, DType::f32);
  // Large blocks: the cache has megabytes, and an allocation of its own.
  EngineLimits limits{.max_samples = 64, .block_size = 4096};
  RolloutEngine ahead(ctx, weights.view, config, limits);
  limits.stepping = Stepping::plain;
  auto requests = requests_of(config);
  for (const int64_t times : {1, 1, 2, 3}) {
    for (size_t i = 0; i < requests.size(); ++i)
      requests[i].samples = times * (1 + static_cast<int64_t>(i) % 4);
    RolloutEngine plain(ctx, weights.view, config, limits);
    CHECK(difference(ahead.run(requests), plain.run(requests)) < 1e-4);
  }
}

// Prompts of up to 300 tokens in pieces of 7 and 40 beside what is decoded, in f32 and bf16.
TEST_CASE("cuda: prompts in pieces give what whole ones give") {
  if (test::no_gpu()) return;
  for (ModelConfig config : {small_v3_config(), small_gqa_config()}) {
    config.max_position_embeddings = 512;
    for (const DType dtype : {DType::f32, DType::bf16}) {
      CAPTURE(name_of(dtype), config.model_type);
      Context ctx(2, Device::cuda);
      test::take_card(ctx);
      OwnedWeights host = allocate_weights(config, DType::f32);
      initialize_weights(host.view, config, 11);
      const OwnedWeights weights = weights_on_device(ctx, host, config, dtype);
      auto requests = requests_of(config);
      for (size_t i = 0; i < requests.size(); ++i)
        requests[i].prompt = random_ids(i % 3 == 0 ? 300 - 13 * static_cast<int64_t>(i) : 20,
                                        config.vocab_size, 90 + static_cast<uint32_t>(i));
      RolloutEngine whole(ctx, weights.view, config, {.max_samples = 5, .chunk_rows = 16384});
      const RolloutOutput want = whole.run(requests);
      for (const int64_t chunk : {7, 40}) {
        RolloutEngine pieces(ctx, weights.view, config,
                             {.max_samples = 5, .prompt_rows = 100, .chunk_rows = chunk});
        const RolloutOutput got = pieces.run(requests);
        CHECK(got.stats.prompt_tokens == want.stats.prompt_tokens);
        if (dtype == DType::f32) CHECK(difference(got, want) < 1e-4);
        if (dtype == DType::bf16) CHECK(first_difference(got, want) < 0.1);
        CHECK(difference(pieces.run(requests), got) == 0.0);
      }
    }
  }
}

TEST_CASE("cuda: steps that run ahead give what steps one by one give") {
  if (test::no_gpu()) return;
  for (const ModelConfig& config : {small_v3_config(), small_gqa_config()}) {
    Context ctx(2, Device::cuda);
    test::take_card(ctx);
    OwnedWeights host = allocate_weights(config, DType::f32);
    initialize_weights(host.view, config, 11);
    const OwnedWeights weights = weights_on_device(ctx, host, config, DType::f32);
    const auto requests = requests_of(config);
    RolloutEngine plain(ctx, weights.view, config, {.stepping = Stepping::plain});
    const RolloutOutput want = plain.run(requests);
    for (const int64_t samples : {1, 5, 64}) {
      RolloutEngine ahead(ctx, weights.view, config, {.max_samples = samples, .prompt_rows = 50});
      const RolloutOutput first = ahead.run(requests);
      CHECK(difference(first, want) < 1e-4);
      CHECK(difference(ahead.run(requests), first) == 0.0);  // recorded by now: the same bits
    }
  }
}
