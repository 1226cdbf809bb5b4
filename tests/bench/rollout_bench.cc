// Times generation of a model with properly initialised random weights from random prompts:
//   build/bench_rollout MODEL DEVICE BATCH [PROMPT [NEW [SAMPLES [RUNS [plain | LATE]]]]]
//   [SETTINGS]
// MODEL is a preset or smollm2-135m. BATCH sequences run together (64,256: first 64, then 256),
// SAMPLES of them share a prompt.
// Prints new tokens a second of each run (prompts included) and the median of those from the fourth
// on, the time until all prompts are through, the median step when all sequences decode, and the
// time that reading the weights and the mean cache would take at 2.98 TB/s, what a device copy
// reaches on an H100; and for how many steps the GPU had to wait because the host had queued none.
// SETTINGS: shortest=N lets each sample stop after N to NEW tokens, every number alike, and also
// prints the steps and their mean time by how many samples decode; top_p=X and top_k=N filter;
// kept=1 lists what the filters kept; dtype=f16.
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

// Uniform numbers of the initialisation's variance, in f32, bf16 or f16, by all threads.
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
        } else if (t.dtype == DType::f16) {
          static_cast<uint16_t*>(t.data)[i] = to_f16(x);
        } else {
          static_cast<float*>(t.data)[i] = x;
        }
      }
    });
  }
}

OwnedWeights make_weights(Context& ctx, const ModelConfig& config, DType dtype) {
  if (ctx.device == Device::cpu) {
    OwnedWeights host = allocate_weights(config, DType::f32);
    fill_quickly(ctx, host, config);
    return host;
  }
  OwnedWeights host = allocate_weights(config, dtype);
  fill_quickly(ctx, host, config);
  OwnedWeights out = allocate_weights(config, dtype, ctx.device);
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

struct Case {
  int64_t batch = 0, prompt = 256, fresh = 256, samples = 1, runs = 8, late = 0;
  bool plain = false, kept = false;
  int64_t shortest = 0;  // 0: all samples go on to the end
  double top_p = 1.0;
  int64_t top_k = 0;
  DType dtype = DType::bf16;
};

constexpr size_t kParts = 4;

struct Times {
  double seconds = 0.0, prompts = 0.0, step = 0.0, recording = 0.0;
  int64_t steps = 0, starved = 0, tokens = 0;
  // Steps of which up to a quarter, a half, ... of the batch decoded, and their time.
  int64_t part_steps[kParts] = {};
  double part_seconds[kParts] = {};
};

// Where a sample stops: the same for every run.
int64_t length_of(const Case& c, size_t request, int64_t sample) {
  Random random(11, RandomStream::data,
                static_cast<uint32_t>(request * 4096) + static_cast<uint32_t>(sample));
  return c.shortest + random.below(static_cast<uint32_t>(c.fresh - c.shortest + 1));
}

Times run_once(RolloutEngine& engine, const std::vector<RolloutRequest>& requests, const Case& c) {
  Times times;
  const int64_t batch = c.batch;
  std::vector<double> steps;
  const double start = now();
  double last = start;
  int64_t generated = 0;
  RolloutCallbacks callbacks;
  callbacks.on_step = [&](const RolloutStats& stats) {
    const double t = now();
    const int64_t drawn = stats.generated_tokens - generated;
    if (generated < batch) times.prompts = t - start;
    if (drawn == batch && generated >= batch) steps.push_back(t - last);
    if (generated >= batch && drawn > 0) {
      const auto part = static_cast<size_t>((drawn - 1) * int64_t{kParts} / batch);
      ++times.part_steps[part], times.part_seconds[part] += t - last;
    }
    generated = stats.generated_tokens;
    last = t;
  };
  if (c.shortest > 0)
    callbacks.on_token = [&](const TokenEvent& event) {
      const auto length = static_cast<int64_t>(event.result.ids.size());
      return length < length_of(c, event.request, event.sample);
    };
  const RolloutOutput output = engine.run(requests, callbacks);
  times.seconds = now() - start;
  times.steps = output.stats.steps;
  times.starved = output.stats.starved;
  times.recording = output.stats.recording;
  times.tokens = output.stats.generated_tokens;
  std::sort(steps.begin(), steps.end());
  if (!steps.empty()) times.step = steps[steps.size() / 2];
  return times;
}

void print_parts(const Times& times) {
  for (size_t p = 0; p < kParts; ++p)
    if (times.part_steps[p] > 0)
      std::printf("  up to %zu/%zu of the batch: %lld steps, %.1f ms, %.3f ms each\n", p + 1,
                  kParts, static_cast<long long>(times.part_steps[p]), times.part_seconds[p] * 1e3,
                  times.part_seconds[p] * 1e3 / static_cast<double>(times.part_steps[p]));
}

void time_case(Context& ctx, const char* name, const OwnedWeights& weights,
               const ModelConfig& config, const Case& c) {
  EngineLimits limits{.max_samples = c.batch, .cache_bytes = int64_t{24} << 30};
  if (c.plain) limits.stepping = Stepping::plain;
  RolloutEngine engine(ctx, weights.view, config, limits);
  auto requests = make_requests(config, c.batch, c.prompt, c.fresh, c.samples);
  for (RolloutRequest& r : requests)
    r.sampling.top_p = c.top_p, r.sampling.top_k = c.top_k, r.kept = c.kept;
  std::vector<double> rates;
  for (int64_t i = 0; i < c.runs; ++i) {
    const Times times = run_once(engine, requests, c);
    const double rate = static_cast<double>(times.tokens) / times.seconds;
    if (i >= kColdRuns || i + 1 == c.runs) rates.push_back(rate);
    std::printf(
        "run %lld  %8.1f ms  %8.0f tokens/s  prompts %.1f ms  %lld steps  median %.3f ms  "
        "recording %.1f ms  waited for by the GPU %lld\n",
        static_cast<long long>(i + 1), times.seconds * 1e3, rate, times.prompts * 1e3,
        static_cast<long long>(times.steps), times.step * 1e3, times.recording * 1e3,
        static_cast<long long>(times.starved));
    if (c.shortest > 0 && i + 1 == c.runs) print_parts(times);
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
                      const Case& c, int64_t piece) {
  const int64_t late = c.late;
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

// The numbers behind BATCH in their order, and settings as name=value.
bool read_settings(int argc, char** argv, Case& c) {
  int64_t* const places[] = {&c.prompt, &c.fresh, &c.samples, &c.runs, &c.late};
  size_t place = 0;
  for (int i = 4; i < argc; ++i) {
    const std::string text = argv[i];
    const size_t sign = text.find('=');
    const std::string name = text.substr(0, sign);
    if (sign == std::string::npos) {
      c.plain = c.plain || text == "plain";
      if (text == "plain") continue;
      char* end = nullptr;
      if (place == std::size(places)) return false;
      *places[place++] = std::strtoll(argv[i], &end, 10);
      if (*end != 0 || end == argv[i]) return false;
      continue;
    }
    const std::string value = text.substr(sign + 1);
    if (name == "shortest")
      c.shortest = std::atoll(value.c_str());
    else if (name == "top_p")
      c.top_p = std::atof(value.c_str());
    else if (name == "top_k")
      c.top_k = std::atoll(value.c_str());
    else if (name == "kept")
      c.kept = value == "1";
    else if (name == "dtype")
      c.dtype = value == "f16" ? DType::f16 : DType::bf16;
    else
      return false;
  }
  return c.shortest <= c.fresh && c.samples > 0;
}

int run(int argc, char** argv) {
  Case c;
  if (argc < 4 || !read_settings(argc, argv, c)) {
    std::fprintf(stderr,
                 "usage: bench_rollout MODEL cpu|cuda BATCH [PROMPT [NEW [SAMPLES [RUNS "
                 "[plain | LATE]]]]] [shortest=N] [top_p=X] [top_k=N] [kept=1] [dtype=f16]\n");
    return 2;
  }
  ModelConfig config =
      std::strcmp(argv[1], "smollm2-135m") == 0 ? smollm2() : preset_config(argv[1]);
  config.max_position_embeddings = std::max(config.max_position_embeddings, c.late + c.fresh);
  Context ctx(0, device_of(argv[2]));
  const OwnedWeights weights = make_weights(ctx, config, c.dtype);
  for (const char* at = argv[3]; *at != 0; at += *at == ',') {
    char* end = nullptr;
    c.batch = std::strtoll(at, &end, 10);
    if (end == at || c.batch < 1) return std::fprintf(stderr, "BATCH is a number or several\n"), 2;
    if (c.late == 0) time_case(ctx, argv[1], weights, config, c);
    for (const int64_t piece : {c.late, int64_t{4096}, int64_t{1024}})
      if (c.late > 0) time_late_prompt(ctx, weights, config, c, piece);
    at = end;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return bench::main_of(run, argc, argv);
}
