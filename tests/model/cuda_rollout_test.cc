// Generating on the GPU: steps that run ahead of their results against steps one by one.
#include <algorithm>
#include <cmath>

#include "model/checkpoint/transfer.h"
#include "rollout/engine.h"
#include "tests/support/catch.h"
#include "tests/support/gpu.h"
#include "tests/support/small_models.h"
#include "tests/support/worse.h"

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
    r.kept = i % 2 == 1;
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
      worst = test::worse(worst, std::abs(x[t] - y[t]));
  };
  for (size_t i = 0; i < a.samples.size(); ++i) {
    for (size_t s = 0; s < a.samples[i].size(); ++s) {
      const SampleResult &x = a.samples[i][s], &y = b.samples[i][s];
      if (x.ids != y.ids || x.finish != y.finish) return INFINITY;
      if (x.experts.experts != y.experts.experts) return INFINITY;
      if (x.kept.counts != y.kept.counts || x.kept.ids != y.kept.ids) return INFINITY;
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
      worst = test::worse(worst, std::abs(x.logprobs.front() - y.logprobs.front()));
    }
  return 4 * same >= 3 * all ? worst : INFINITY;
}

// The largest and the mean difference of log-probabilities as far as the same tokens were drawn.
struct Gap {
  double mean = 0.0, most = 0.0;
  int64_t tokens = 0, all = 0;
};

Gap gap_between(const RolloutOutput& a, const RolloutOutput& b) {
  Gap gap;
  for (size_t i = 0; i < a.samples.size(); ++i)
    for (size_t s = 0; s < a.samples[i].size(); ++s) {
      const SampleResult &x = a.samples[i][s], &y = b.samples[i][s];
      gap.all += static_cast<int64_t>(x.ids.size());
      for (size_t t = 0; t < std::min(x.ids.size(), y.ids.size()) && x.ids[t] == y.ids[t]; ++t) {
        const double d = std::abs(x.logprobs[t] - y.logprobs[t]);
        gap.mean += d, gap.most = test::worse(gap.most, d), ++gap.tokens;
      }
    }
  gap.mean /= static_cast<double>(std::max<int64_t>(1, gap.tokens));
  return gap;
}

// The inner sizes that the kernels for few rows, absorbed queries and decode attention are made
// for, in a model that is otherwise small.
ModelConfig true_v3_config() {
  ModelConfig c = small_v3_config();
  c.vocab_size = 384;
  c.hidden_size = 256;
  c.intermediate_size = 512;
  c.num_hidden_layers = 2;
  c.num_attention_heads = c.num_key_value_heads = 4;
  c.max_position_embeddings = 512;
  c.rope = RopeConfig{};
  c.q_lora_rank = 128;
  c.kv_lora_rank = 512;
  c.qk_nope_head_dim = 128;
  c.qk_rope_head_dim = 64;
  c.v_head_dim = 128;
  c.moe_intermediate_size = 128;
  c.num_nextn_predict_layers = 0;
  return c;
}

ModelConfig true_gqa_config() {
  ModelConfig c = small_gqa_config();
  c.vocab_size = 384;
  c.hidden_size = 192;
  c.intermediate_size = 512;
  c.num_attention_heads = 3;
  c.num_key_value_heads = 1;
  c.head_dim = 64;
  c.max_position_embeddings = 512;
  return c;
}

// Prompts of 1 to 250 tokens, most of several tiles, and samples that end one after the other.
std::vector<RolloutRequest> long_requests(const ModelConfig& config, int64_t times) {
  std::vector<RolloutRequest> requests = requests_of(config);
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto n = static_cast<int64_t>(i);
    requests[i].prompt =
        random_ids(n == 4 ? 1 : 65 + 185 * n / 8, config.vocab_size, 60 + static_cast<uint64_t>(i));
    requests[i].samples = times * (1 + n % 4);
    requests[i].max_new_tokens = 6 + 3 * n;
    requests[i].experts = false;
  }
  return requests;
}

// Weights under which every part of a layer counts.
OwnedWeights strong_weights(Context& ctx, const ModelConfig& config, DType dtype) {
  const OwnedWeights host = random_weights(config, DType::f32, 23, 0.06);
  return weights_on_device(ctx, host, config, dtype);
}

}  // namespace

// Recorded steps give the bits of the first ones, in batches that shrink; prompts by a pass of
// their own give what prompts through the cache give, but for roundings.
TEST_CASE("cuda: 16-bit generation by the kernels of real sizes agrees with itself") {
  if (test::no_gpu()) return;
  for (const ModelConfig& config : {true_v3_config(), true_gqa_config()}) {
    for (const DType dtype : {DType::bf16, DType::f16}) {
      CAPTURE(name_of(dtype), config.model_type);
      Context ctx(2, Device::cuda);
      const OwnedWeights weights = strong_weights(ctx, config, dtype);
      const OwnedWeights wide = strong_weights(ctx, config, DType::f32);
      const auto requests = long_requests(config, 3);
      RolloutEngine plain(ctx, weights.view, config, {.stepping = Stepping::plain});
      RolloutEngine exact(ctx, wide.view, config, {.stepping = Stepping::plain});
      const RolloutOutput want = plain.run(requests), truth = exact.run(requests);
      CHECK(difference(plain.run(requests), want) == 0.0);
      const double bound = dtype == DType::bf16 ? 0.03 : 0.004;
      CHECK(gap_between(want, truth).mean < bound);
      for (const int64_t samples : {1, 5, 64}) {
        RolloutEngine ahead(ctx, weights.view, config,
                            {.max_samples = samples, .prompt_rows = 300, .chunk_rows = 100});
        const RolloutOutput first = ahead.run(requests);
        for (int i = 0; i < 2; ++i) CHECK(difference(ahead.run(requests), first) == 0.0);
        const Gap gap = gap_between(first, want), off = gap_between(first, truth);
        WARN(name_of(dtype) << ", " << config.model_type << ", " << samples << " together: mean "
                            << gap.mean << ", most " << gap.most << " nats, " << gap.tokens
                            << " of " << gap.all << " tokens; against f32 " << off.mean << ", "
                            << off.tokens);
        CHECK(gap.mean < bound);
        CHECK(off.mean < bound);
        CHECK(4 * gap.tokens > gap.all);
      }
    }
  }
}

TEST_CASE("cuda: a cache that grows changes no bit in 16 bits") {
  if (test::no_gpu()) return;
  const ModelConfig config = true_v3_config();
  Context ctx(2, Device::cuda);
  for (const DType dtype : {DType::bf16, DType::f16}) {
    const OwnedWeights weights = strong_weights(ctx, config, dtype);
    RolloutEngine ahead(ctx, weights.view, config, {.max_samples = 64});
    for (const int64_t times : {1, 1, 2, 3, 1}) {
      CAPTURE(name_of(dtype), times);
      const auto requests = long_requests(config, times);
      RolloutEngine fresh(ctx, weights.view, config, {.max_samples = 64});
      CHECK(difference(ahead.run(requests), fresh.run(requests)) == 0.0);
    }
  }
}

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
