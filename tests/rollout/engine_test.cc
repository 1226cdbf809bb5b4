#include "rollout/engine.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "rollout/score.h"
#include "tests/support/catch.h"
#include "tests/support/worse.h"

using namespace temper;

namespace {

// V3 with every part, small: q-LoRA, YaRN, groups of experts with biases, a shared expert.
ModelConfig small_v3() {
  ModelConfig c;
  c.vocab_size = 61;
  c.hidden_size = 32;
  c.intermediate_size = 48;
  c.num_hidden_layers = 3;
  c.num_attention_heads = 4;
  c.max_position_embeddings = 128;
  c.initializer_range = 0.2;
  c.q_lora_rank = 16;
  c.kv_lora_rank = 12;
  c.qk_nope_head_dim = 8;
  c.qk_rope_head_dim = 4;
  c.v_head_dim = 10;
  c.n_routed_experts = 8;
  c.n_shared_experts = 1;
  c.num_experts_per_tok = 3;
  c.moe_intermediate_size = 16;
  c.first_k_dense_replace = 1;
  c.n_group = 4;
  c.topk_group = 2;
  c.routed_scaling_factor = 1.5;
  c.rope.type = RopeType::yarn;
  c.rope.factor = 4.0;
  c.rope.mscale = c.rope.mscale_all_dim = 1.0;
  c.rope.original_max_position_embeddings = 32;
  return c;
}

ModelConfig small_gqa() {
  ModelConfig c;
  c.model_type = "qwen3";
  c.attention = AttentionKind::gqa;
  c.vocab_size = 53;
  c.hidden_size = 24;
  c.intermediate_size = 40;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.head_dim = 8;
  c.qk_norm = true;
  c.qkv_bias = true;
  c.tie_word_embeddings = true;
  c.max_position_embeddings = 128;
  c.initializer_range = 0.2;
  return c;
}

struct SmallModel {
  ModelConfig config;
  OwnedWeights weights;

  SmallModel(const ModelConfig& c, DType dtype) : config(c), weights(allocate_weights(c, dtype)) {
    initialize_weights(weights.view, config, 5);
    for (size_t l = 0; l < weights.view.layers.size(); ++l) {
      const Tensor bias = weights.view.layers[l].moe.e_score_correction_bias;
      for (int64_t e = 0; e < bias.numel(); ++e) {
        bias.get<float>()[e] = 0.02F * static_cast<float>((e * 5 + 3) % 7);
      }
    }
  }
};

std::vector<int32_t> random_prompt(uint32_t length, int64_t vocab, uint32_t seed) {
  Random random(seed, RandomStream::data);
  std::vector<int32_t> ids(length);
  for (int32_t& id : ids) id = static_cast<int32_t>(random.below(static_cast<uint32_t>(vocab)));
  return ids;
}

std::vector<RolloutRequest> some_requests(const ModelConfig& config, int64_t max_new_tokens) {
  std::vector<RolloutRequest> requests;
  const std::vector<uint32_t> lengths{1, 7, 8, 19, 33};
  for (uint32_t i = 0; i < lengths.size(); ++i) {
    RolloutRequest r;
    r.prompt = random_prompt(lengths[i], config.vocab_size, i + 1);
    r.samples = 1 + i % 3 * 2;
    r.max_new_tokens = max_new_tokens - i;
    r.sampling.temperature = i == 3 ? 0.7 : 1.0;
    if (i == 2) r.sampling.top_p = 0.8;
    if (i == 4) r.sampling = {.temperature = 0.0};
    r.stop_ids = {3, 17};
    r.key = {.seed = 11, .step = 2, .prompt = i};
    r.entropy = i % 2 == 0;
    requests.push_back(r);
  }
  return requests;
}

bool same_bits(const SampleResult& a, const SampleResult& b) {
  return a.ids == b.ids && a.experts.experts == b.experts.experts && a.logprobs == b.logprobs &&
         a.sampled_logprobs == b.sampled_logprobs && a.entropies == b.entropies &&
         a.finish == b.finish;
}

bool same_bits(const RolloutOutput& a, const RolloutOutput& b) {
  const auto same_group = [](const auto& x, const auto& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                      [](const SampleResult& p, const SampleResult& q) { return same_bits(p, q); });
  };
  return std::equal(a.samples.begin(), a.samples.end(), b.samples.begin(), b.samples.end(),
                    same_group);
}

// Largest |rollout - trainer| log-probability over all samples of the requests.
double worst_mismatch(Context& ctx, const SmallModel& model,
                      const std::vector<RolloutRequest>& requests, const RolloutOutput& output) {
  double worst = 0.0;
  for (size_t i = 0; i < requests.size(); ++i) {
    for (const SampleResult& sample : output.samples[i]) {
      std::vector<int32_t> all = requests[i].prompt;
      all.insert(all.end(), sample.ids.begin(), sample.ids.end());
      const ScoreOptions options{.temperature = requests[i].sampling.recorded_temperature()};
      const auto scores =
          score_sequences(ctx, model.weights.view, model.config, {&all, 1}, options);
      for (size_t t = 0; t < sample.ids.size(); ++t) {
        const double trainer = scores[0][requests[i].prompt.size() + t];
        worst = test::worse(worst, std::abs(trainer - sample.logprobs[t]));
      }
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("rollout log-probabilities are the trainer's: prefill = decode at every position") {
  Context ctx(2);
  for (const ModelConfig& config : {small_v3(), small_gqa()}) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      const SmallModel model(config, dtype);
      RolloutEngine engine(ctx, model.weights.view, model.config,
                           {.max_samples = 6, .max_rows = 13, .block_size = 4});
      const auto requests = some_requests(model.config, 40);
      const RolloutOutput output = engine.run(requests);
      const double worst = worst_mismatch(ctx, model, requests, output);
      INFO(model.config.model_type << " " << name_of(dtype) << ": " << worst);
      CHECK(worst < (dtype == DType::f64 ? 1e-10 : 1e-4));
      CHECK(output.stats.generated_tokens > 100);
    }
  }
}

TEST_CASE("a completion has the same bits whatever it is batched with") {
  for (const ModelConfig& config : {small_v3(), small_gqa()}) {
    const SmallModel model(config, DType::f32);
    const auto requests = some_requests(model.config, 24);
    Context one(1), two(2);
    RolloutEngine alone(one, model.weights.view, model.config, {.max_samples = 1, .max_rows = 1});
    const RolloutOutput want = alone.run(requests);
    for (const EngineLimits& limits : {EngineLimits{.max_samples = 3, .max_rows = 7},
                                       EngineLimits{.max_samples = 16, .max_rows = 256},
                                       EngineLimits{.max_samples = 16, .max_rows = 16},
                                       EngineLimits{.max_samples = 8, .cache_bytes = 64 << 10}}) {
      RolloutEngine engine(two, model.weights.view, model.config, limits);
      CHECK(same_bits(engine.run(requests), want));
      CHECK(same_bits(engine.run(requests), want));  // and the same again from a used cache
    }
  }
}

// The largest difference of log-probabilities; infinite where anything else differs.
double difference(const RolloutOutput& a, const RolloutOutput& b) {
  double worst = 0.0;
  for (size_t i = 0; i < a.samples.size(); ++i) {
    for (size_t s = 0; s < a.samples[i].size(); ++s) {
      const SampleResult &x = a.samples[i][s], &y = b.samples[i][s];
      if (x.ids != y.ids || x.finish != y.finish) return INFINITY;
      if (x.experts.experts != y.experts.experts) return INFINITY;
      for (size_t t = 0; t < x.ids.size(); ++t)
        worst = test::worse(worst, std::abs(x.logprobs[t] - y.logprobs[t]));
    }
  }
  return worst;
}

TEST_CASE("steps that run ahead of their results give what steps one by one give") {
  for (const ModelConfig& config : {small_v3(), small_gqa()}) {
    const SmallModel model(config, DType::f64);
    auto requests = some_requests(model.config, 24);
    for (RolloutRequest& r : requests) r.experts = true;
    Context ctx(2);
    RolloutEngine plain(ctx, model.weights.view, model.config, {.stepping = Stepping::plain});
    const RolloutOutput want = plain.run(requests);
    const Stepping ahead = Stepping::ahead;
    RolloutEngine alone(ctx, model.weights.view, model.config,
                        {.max_samples = 1, .stepping = ahead});
    const RolloutOutput first = alone.run(requests);
    CHECK(difference(first, want) < 1e-10);
    CHECK(first.stats.generated_tokens == want.stats.generated_tokens);
    CHECK(first.stats.prompt_tokens == want.stats.prompt_tokens);
    for (const EngineLimits& limits :
         {EngineLimits{.max_samples = 3, .prompt_rows = 20, .stepping = ahead},
          EngineLimits{.max_samples = 5, .prompt_rows = 9, .chunk_rows = 4, .stepping = ahead},
          EngineLimits{.max_samples = 16, .stepping = ahead},
          EngineLimits{.max_samples = 8, .cache_bytes = 128 << 10, .stepping = ahead}}) {
      RolloutEngine engine(ctx, model.weights.view, model.config, limits);
      CHECK(same_bits(engine.run(requests), first));
      CHECK(same_bits(engine.run(requests), first));  // and the same again from a used cache
    }
  }
}

TEST_CASE("samples that share a prompt equal samples that do not") {
  const SmallModel model(small_v3(), DType::f32);
  Context ctx(2);
  RolloutEngine engine(ctx, model.weights.view, model.config, {.max_samples = 16});
  RolloutRequest group;
  group.prompt = random_prompt(21, model.config.vocab_size, 9);
  group.samples = 5;
  group.max_new_tokens = 20;
  group.key.seed = 3;
  const RolloutOutput shared = engine.run({&group, 1});
  std::vector<RolloutRequest> singles;
  for (uint32_t s = 0; s < 5; ++s) {
    singles.push_back(group);
    singles.back().samples = 1;
    singles.back().key.sample = s;
  }
  const RolloutOutput unshared = engine.run(singles);
  for (size_t s = 0; s < 5; ++s) CHECK(same_bits(shared.samples[0][s], unshared.samples[s][0]));
  CHECK(shared.samples[0][0].ids != shared.samples[0][1].ids);
  CHECK(shared.stats.prompt_tokens == 21);
  CHECK(unshared.stats.prompt_tokens == 5 * 21);
  CHECK(shared.stats.peak_blocks < unshared.stats.peak_blocks);
}

TEST_CASE("a sample ends at its first stop id, its limit, or where the caller says") {
  const SmallModel model(small_gqa(), DType::f32);
  Context ctx(1);
  RolloutEngine engine(ctx, model.weights.view, model.config);
  RolloutRequest request;
  request.prompt = {1, 2, 3};
  request.max_new_tokens = 30;
  request.key.seed = 1;
  const SampleResult full = engine.run({&request, 1}).samples[0][0];
  CHECK(full.finish == FinishReason::length);
  REQUIRE(full.ids.size() == 30);

  request.stop_ids = {full.ids[11], -1, full.ids[20]};
  const SampleResult stopped = engine.run({&request, 1}).samples[0][0];
  const auto first = std::find_if(full.ids.begin(), full.ids.end(), [&](int32_t id) {
    return id == full.ids[11] || id == full.ids[20];
  });
  CHECK(stopped.finish == FinishReason::stop);
  CHECK(stopped.ids == std::vector<int32_t>(full.ids.begin(), first + 1));

  request.stop_ids.clear();
  int64_t seen = 0, finished = 0;
  const RolloutCallbacks callbacks{.on_token =
                                       [&](const TokenEvent& e) {
                                         CHECK(static_cast<int64_t>(e.result.ids.size()) == ++seen);
                                         return seen < 7;
                                       },
                                   .on_finish = [&](const TokenEvent&) { ++finished; }};
  const SampleResult told = engine.run({&request, 1}, callbacks).samples[0][0];
  CHECK(told.ids.size() == 7);
  CHECK(told.finish == FinishReason::stop);
  CHECK(finished == 1);
}

TEST_CASE("an interrupt keeps what was drawn and leaves the engine usable") {
  const SmallModel model(small_gqa(), DType::f32);
  Context ctx(1);
  RolloutEngine engine(ctx, model.weights.view, model.config, {.max_samples = 2});
  auto requests = some_requests(model.config, 20);
  const RolloutOutput want = engine.run(requests);
  Interrupt interrupt;
  const RolloutCallbacks callbacks{.on_step =
                                       [&](const RolloutStats& stats) {
                                         if (stats.steps == 9) interrupt.request();
                                       },
                                   .interrupt = &interrupt};
  const RolloutOutput cut = engine.run(requests, callbacks);
  CHECK(cut.stats.steps == 9);
  int64_t cancelled = 0;
  for (const auto& group : cut.samples) {
    for (const SampleResult& s : group) cancelled += s.finish == FinishReason::cancelled;
  }
  CHECK(cancelled == cut.stats.samples - cut.stats.finished);
  CHECK(cancelled > 0);
  CHECK(same_bits(engine.run(requests), want));
}

TEST_CASE("the engine's steps allocate nothing once they are under way") {
  const SmallModel model(small_v3(), DType::f32);
  Context ctx(1);
  RolloutEngine engine(ctx, model.weights.view, model.config, {.max_samples = 4, .max_rows = 32});
  RolloutRequest request;
  request.prompt = random_prompt(60, model.config.vocab_size, 2);
  request.samples = 4;
  request.max_new_tokens = 40;
  std::vector<size_t> reserved;
  engine.run({&request, 1}, {.on_step = [&](const RolloutStats&) {
               reserved.push_back(ctx.scratch.reserved_bytes());
             }});
  REQUIRE(reserved.size() > 30);
  CHECK(reserved[4] == reserved.back());
}

TEST_CASE("requests that cannot be are refused by name") {
  const SmallModel model(small_gqa(), DType::f32);
  Context ctx(1);
  RolloutEngine engine(ctx, model.weights.view, model.config, {.cache_bytes = 1 << 14});
  const auto refused = [&](const RolloutRequest& r, const std::string& part) {
    try {
      engine.run({&r, 1});
    } catch (const UserError& e) {
      INFO(e.what());
      return std::string(e.what()).find(part) != std::string::npos;
    }
    return false;
  };
  CHECK(refused({.prompt = {}}, "no tokens"));
  CHECK(refused({.prompt = {53}}, "53"));
  CHECK(refused({.prompt = {1}, .max_new_tokens = 128}, "context"));
  CHECK(refused({.prompt = {1}, .max_new_tokens = 100}, "cache"));
  CHECK(refused({.prompt = {1}, .max_new_tokens = 5, .sampling = {.top_p = 2.0}}, "top_p"));
}
