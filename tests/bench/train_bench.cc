// Times training steps of a preset with random weights on random tokens:
//   build/bench_train PRESET[:LAYERS] DEVICE [SEQUENCES [TOKENS [STEPS [recompute] [f16]]]]
// PRESET is one of preset_names() or qwen2.5-0.5b; LAYERS keeps the first so many. Prints
// the memory plan, milliseconds of each step, the median's tokens a second, and the memory that was
// taken.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/device.h"
#include "core/named_range.h"
#include "core/random.h"
#include "model/checkpoint/transfer.h"
#include "model/config.h"
#include "model/training/memory_plan.h"
#include "model/training/train_step.h"
#include "tests/bench/bench_main.h"

using namespace temper;

namespace {

double now_ms() {
  return std::chrono::duration<double, std::milli>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Source: Qwen2.5-0.5B's config.json; the shape alone, so without its rope_theta.
ModelConfig qwen_half_billion() {
  ModelConfig config;
  config.model_type = "qwen2";
  config.attention = AttentionKind::gqa;
  config.vocab_size = 151936;
  config.hidden_size = 896;
  config.intermediate_size = 4864;
  config.num_hidden_layers = 24;
  config.num_attention_heads = 14;
  config.num_key_value_heads = 2;
  config.head_dim = 64;
  config.max_position_embeddings = 32768;
  config.qkv_bias = true;
  config.tie_word_embeddings = true;
  return config;
}

ModelConfig config_of(const std::string& name) {
  const size_t colon = name.find(':');
  const std::string preset = name.substr(0, colon);
  ModelConfig config = preset == "qwen2.5-0.5b" ? qwen_half_billion() : preset_config(preset);
  if (colon != std::string::npos) config.num_hidden_layers = std::stoll(name.substr(colon + 1));
  return config;
}

// Normal enough for timing, and filled by all threads: uniform numbers of the right variance.
void fill_quickly(Context& ctx, OwnedWeights& weights, const ModelConfig& config) {
  for (const NamedTensor& named : tensors_of(weights.view, config)) {
    float* data = named.tensor->get<float>();
    const bool norm = named.role == TensorRole::norm;
    const bool zero = named.role == TensorRole::bias || named.role == TensorRole::router_bias;
    ctx.pool.parallel_for(named.tensor->numel(), 1 << 16, [&](int64_t begin, int64_t end) {
      uint64_t state = static_cast<uint64_t>(begin) * 0x9E3779B97F4A7C15ULL + 1;
      for (int64_t i = begin; i < end; ++i) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        const double u = static_cast<double>(state >> 40) / static_cast<double>(1 << 24) - 0.5;
        data[i] = norm ? 1.0F : zero ? 0.0F : static_cast<float>(u * 0.02 * 3.4641);
      }
    });
  }
}

std::vector<TrainSequence> random_sequences(int64_t count, int64_t length, int64_t vocab) {
  Random random(1, RandomStream::data);
  std::vector<TrainSequence> all;
  for (int64_t s = 0; s < count; ++s) {
    TrainSequence& sequence = all.emplace_back();
    for (int64_t i = 0; i < length; ++i)
      sequence.ids.push_back(static_cast<int32_t>(random.below(static_cast<uint32_t>(vocab))));
    sequence.mask.assign(static_cast<size_t>(length), 1);
    sequence.mask[0] = 0;
  }
  return all;
}

int run(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr,
                 "usage: bench_train PRESET[:LAYERS] cpu|cuda [SEQUENCES [TOKENS [STEPS "
                 "[recompute] [f16]]]]\n");
    return 2;
  }
  const auto number = [&](int i, int64_t otherwise) {
    return argc > i ? std::strtoll(argv[i], nullptr, 10) : otherwise;
  };
  const int64_t count = number(3, 8), length = number(4, 2048), steps = number(5, 12);
  const auto has = [&](std::string_view word) {
    return argc > 6 && std::find(argv + 6, argv + argc, word) != argv + argc;
  };
  ModelConfig config = config_of(argv[1]);
  Context ctx(0, device_of(argv[2]));
  const int64_t free_before = available_memory(ctx.device);
  const DType narrow = has("f16") ? DType::f16 : DType::bf16;
  const DType dtype = ctx.device == Device::cpu ? DType::f32 : narrow;
  TrainOptions options;
  options.optimizer.bf16_moments = ctx.device == Device::cuda;
  options.recompute = has("recompute");
  options.bias_update_speed = 0.001;
  options.balance_alpha = 0.0001;
  const MemoryPlan plan = estimate_training(config, options,
                                            {.dtype = dtype,
                                             .device = ctx.device,
                                             .longest_sequence = length,
                                             .micro_batch_tokens = count * length});
  std::printf("%s\n", plan.text().c_str());
  OwnedWeights weights;
  {
    OwnedWeights host = allocate_weights(config, DType::f32);
    fill_quickly(ctx, host, config);
    weights =
        ctx.device == Device::cpu ? std::move(host) : weights_on_device(ctx, host, config, dtype);
  }
  TrainStep step(ctx, config, weights, options);
  const std::vector<TrainSequence> batch = random_sequences(count, length, config.vocab_size);
  const double normaliser = static_cast<double>(count * (length - 1));
  std::vector<double> gradient(static_cast<size_t>(length), -1.0 / normaliser);
  gradient[0] = 0.0;
  const std::vector<std::vector<double>> gradients(batch.size(), gradient);
  std::vector<double> times;  // from the end of a step to that of the next, as a run has them
  synchronize(ctx);
  double start = now_ms();
  for (int64_t i = 0; i < steps; ++i) {
    std::optional<NamedRange> range;  // for tests/gpu/kernel-table
    if (i + 1 == steps) range.emplace(ctx, "last step");
    step.begin(count_global(batch, static_cast<int64_t>(weights.view.mtp.size())));
    step.accumulate_linear(batch, gradients);
    const StepReport report = step.finish(1e-4);
    times.push_back(now_ms() - start);
    start += times.back();
    std::printf("step %2lld  %8.1f ms  loss %.4f  gradient norm %.4f  fullest expert %.2f\n",
                static_cast<long long>(i + 1), times.back(), report.loss, report.grad_norm,
                report.load_max_over_mean);
  }
  std::sort(times.begin(), times.end());
  const double median = times[times.size() / 2];
  std::printf(
      "%s: %lld x %lld tokens, median %.1f ms, %.0f tokens/s; activations %.2f GB, all "
      "%.2f GB, planned %.2f GB\n",
      argv[1], static_cast<long long>(count), static_cast<long long>(length), median,
      static_cast<double>(count * length) / median * 1e3,
      static_cast<double>(step.activations().high_water_bytes()) / 1e9,
      static_cast<double>(free_before - available_memory(ctx.device)) / 1e9,
      static_cast<double>(plan.total_bytes()) / 1e9);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return bench::main_of(run, argc, argv);
}
