// Times generation of a model with properly initialised random weights from random prompts:
//   build/bench_rollout MODEL DEVICE BATCH [PROMPT [NEW [SAMPLES [RUNS [plain | LATE]]]]]
// MODEL is a preset or smollm2-135m. BATCH sequences run together (64,256: first 64, then 256),
// SAMPLES of them share a prompt.
// Prints new tokens a second of each run (prompts included) and the median of those from the fourth
// on, the time until all prompts are through, the median step when all sequences decode, and the
// time that reading the weights and the mean cache would take at 2.98 TB/s, what a device copy
// reaches on an H100; and for how many steps the GPU had to wait because the host had queued none.
// With LATE a prompt of so many tokens enters when a quarter of the steps is done: for how long the
// others wait for a token then, at most, with the prompt whole and in pieces.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/narrow_float.h"
#include "core/random.h"
#include "model/config.h"
#include "rollout/engine.h"
#include "tests/bench/bench_main.h"

using namespace temper;

namespace {

constexpr double kBytesPerSecond = 2.98e12;
// Runs that are printed but not counted: they make room, record steps, and time the shapes of the
// prompts' products when these have been seen 32 times (model/ops/cuda/gemm.cc).
constexpr int64_t kColdRuns = 3;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The shape of HuggingFaceTB/SmolLM2-135M.
ModelConfig smollm2() {
  ModelConfig c;
  c.model_type = "llama";
  c.attention = AttentionKind::gqa;
  c.vocab_size = 49152;
  c.hidden_size = 576;
  c.intermediate_size = 1536;
  c.num_hidden_layers = 30;
  c.num_attention_heads = 9;
  c.num_key_value_heads = 3;
  c.head_dim = 64;
  c.tie_word_embeddings = true;
  c.max_position_embeddings = 8192;
  c.rope.rope_theta = 100000.0;
  return c;
}

// Uniform numbers of the initialisation's variance, in f32 or bf16, by all threads.
void fill_quickly(Context& ctx, const OwnedWeights& weights, const ModelConfig& config) {
  ModelWeights view = weights.view;
  for (const NamedTensor& named : tensors_of(view, config)) {
    if (named.role == TensorRole::router_bias) continue;
    const Tensor t = *named.tensor;
    const bool norm = named.role == TensorRole::norm, zero = named.role == TensorRole::bias;
    ctx.pool.parallel_for(t.numel(), 1 << 16, [&](int64_t begin, int64_t end) {
      uint64_t state = static_cast<uint64_t>(begin) * 0x9E3779B97F4A7C15ULL + 1;
      for (int64_t i = begin; i < end; ++i) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        const double u = static_cast<double>(state >> 40) / static_cast<double>(1 << 24) - 0.5;
        const float x = norm ? 1.0F : zero ? 0.0F : static_cast<float>(u * 0.02 * 3.4641);
        if (t.dtype == DType::bf16) {
          static_cast<uint16_t*>(t.data)[i] = to_bf16(x);
        } else {
          static_cast<float*>(t.data)[i] = x;
        }
      }
    });
  }
}

OwnedWeights make_weights(Context& ctx, const ModelConfig& config) {
  if (ctx.device == Device::cpu) {
    OwnedWeights host = allocate_weights(config, DType::f32);
    fill_quickly(ctx, host, config);
    return host;
  }
  OwnedWeights host = allocate_weights(config, DType::bf16);
  fill_quickly(ctx, host, config);
  OwnedWeights out = allocate_weights(config, DType::bf16, ctx.device);
  copy_bytes(ctx, out.storage.view.data, ctx.device, host.storage.view.data, Device::cpu,
             host.storage.buffer.bytes());
  return out;
}

std::vector<RolloutRequest> make_requests(const ModelConfig& config, int64_t batch, int64_t prompt,
                                          int64_t fresh, int64_t samples) {
  Random random(7, RandomStream::data);
  std::vector<RolloutRequest> requests;
  for (int64_t i = 0; i < batch / samples; ++i) {
    RolloutRequest& r = requests.emplace_back();
    for (int64_t t = 0; t < prompt; ++t)
      r.prompt.push_back(
          static_cast<int32_t>(random.below(static_cast<uint32_t>(config.vocab_size))));
    r.samples = samples;
    r.max_new_tokens = fresh;
    r.key = {.seed = 3, .prompt = static_cast<uint32_t>(i)};
  }
  return requests;
}

struct Times {
  double seconds = 0.0, prompts = 0.0, step = 0.0;
  int64_t steps = 0, starved = 0;
};

Times run_once(RolloutEngine& engine, const std::vector<RolloutRequest>& requests, int64_t batch) {
  Times times;
  std::vector<double> steps;
  const double start = now();
  double last = start;
  int64_t generated = 0;
  const RolloutOutput output =
      engine.run(requests, {.on_step = [&](const RolloutStats& stats) {
                   const double t = now();
                   if (generated < batch) times.prompts = t - start;
                   if (stats.generated_tokens - generated == batch && generated >= batch)
                     steps.push_back(t - last);
                   generated = stats.generated_tokens;
                   last = t;
                 }});
  times.seconds = now() - start;
  times.steps = output.stats.steps;
  times.starved = output.stats.starved;
  std::sort(steps.begin(), steps.end());
  if (!steps.empty()) times.step = steps[steps.size() / 2];
  return times;
}

struct Case {
  int64_t batch, prompt, fresh, samples, runs;
  bool plain;
};

void time_case(Context& ctx, const char* name, const OwnedWeights& weights,
               const ModelConfig& config, const Case& c) {
  EngineLimits limits{.max_samples = c.batch, .cache_bytes = int64_t{24} << 30};
  if (c.plain) limits.stepping = Stepping::plain;
  RolloutEngine engine(ctx, weights.view, config, limits);
  const auto requests = make_requests(config, c.batch, c.prompt, c.fresh, c.samples);
  std::vector<double> rates;
  for (int64_t i = 0; i < c.runs; ++i) {
    const Times times = run_once(engine, requests, c.batch);
    const double rate = static_cast<double>(c.batch * c.fresh) / times.seconds;
    if (i >= kColdRuns || i + 1 == c.runs) rates.push_back(rate);
    std::printf(
        "run %lld  %8.1f ms  %8.0f tokens/s  prompts %.1f ms  %lld steps  median %.3f ms  "
        "waited for by the GPU %lld\n",
        static_cast<long long>(i + 1), times.seconds * 1e3, rate, times.prompts * 1e3,
        static_cast<long long>(times.steps), times.step * 1e3,
        static_cast<long long>(times.starved));
  }
  std::sort(rates.begin(), rates.end());
  const double cache = static_cast<double>(c.batch * (c.prompt + c.fresh / 2) *
                                           config.cache_width() * config.num_hidden_layers) *
                       static_cast<double>(size_of(weights.view.embed_tokens.dtype));
  const double bytes = static_cast<double>(weights.storage.buffer.bytes());
  std::printf(
      "%s: batch %lld, %lld + %lld tokens: median %.0f tokens/s; floor of a step %.3f ms "
      "(%.2f GB of weights, %.2f GB of cache)\n",
      name, static_cast<long long>(c.batch), static_cast<long long>(c.prompt),
      static_cast<long long>(c.fresh), rates[rates.size() / 2],
      (bytes + cache) / kBytesPerSecond * 1e3, bytes / 1e9, cache / 1e9);
  std::fflush(stdout);
}

// The late prompt comes in pieces of `piece` tokens.
void time_late_prompt(Context& ctx, const OwnedWeights& weights, const ModelConfig& config,
                      const Case& c, int64_t late, int64_t piece) {
  EngineLimits limits{.max_samples = c.batch, .cache_bytes = int64_t{24} << 30};
  limits.prompt_rows = std::max(limits.prompt_rows, late);
  limits.chunk_rows = piece;
  RolloutEngine engine(ctx, weights.view, config, limits);
  auto requests = make_requests(config, c.batch, c.prompt, c.fresh, 1);
  requests.front().max_new_tokens = std::max<int64_t>(1, c.fresh / 4);
  requests.push_back(make_requests(config, 1, late, 8, 1).front());
  for (int64_t i = 0; i < c.runs; ++i) {
    std::vector<double> gaps;
    double last = 0.0;
    int64_t generated = 0;
    const RolloutOutput output = engine.run(requests, {.on_step = [&](const RolloutStats& stats) {
                                              const double t = now();
                                              if (generated >= c.batch) gaps.push_back(t - last);
                                              generated = stats.generated_tokens, last = t;
                                            }});
    std::sort(gaps.begin(), gaps.end());
    const double through =
        output.samples.back().front().first_token_seconds - output.samples.front().front().seconds;
    std::printf(
        "run %lld  a prompt of %lld tokens beside %lld samples, in pieces of %lld: longest pause "
        "%.2f ms, median step %.2f ms, first token after %.1f ms\n",
        static_cast<long long>(i + 1), static_cast<long long>(late),
        static_cast<long long>(c.batch - 1), static_cast<long long>(piece), gaps.back() * 1e3,
        gaps[gaps.size() / 2] * 1e3, through * 1e3);
  }
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr,
                 "usage: bench_rollout MODEL cpu|cuda BATCH [PROMPT [NEW [SAMPLES [RUNS "
                 "[plain | LATE]]]]]\n");
    return 2;
  }
  const auto number = [&](int i, int64_t otherwise) {
    return argc > i ? std::strtoll(argv[i], nullptr, 10) : otherwise;
  };
  const int64_t prompt = number(4, 256), fresh = number(5, 256);
  const int64_t samples = number(6, 1), runs = number(7, 8);
  ModelConfig config =
      std::strcmp(argv[1], "smollm2-135m") == 0 ? smollm2() : preset_config(argv[1]);
  const int64_t late = number(8, 0);
  config.max_position_embeddings = std::max(config.max_position_embeddings, late + fresh);
  Context ctx(0, device_of(argv[2]));
  const OwnedWeights weights = make_weights(ctx, config);
  for (const char* at = argv[3]; *at != 0; at += *at == ',') {
    char* end = nullptr;
    const bool plain = argc > 8 && late == 0;
    const Case c{std::strtoll(at, &end, 10), prompt, fresh, samples, runs, plain};
    if (end == at || c.batch < 1) return std::fprintf(stderr, "BATCH is a number or several\n"), 2;
    if (late == 0) time_case(ctx, argv[1], weights, config, c);
    for (const int64_t piece : {late, int64_t{4096}, int64_t{1024}})
      if (late > 0) time_late_prompt(ctx, weights, config, c, late, piece);
    at = end;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return bench::main_of(run, argc, argv);
}
