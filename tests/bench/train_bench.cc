// Times training steps of a preset with random weights on random tokens:
//   build/bench_train PRESET DEVICE [SEQUENCES [TOKENS [STEPS]]]
// Prints milliseconds of each step, the median's tokens a second, and the memory taken.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/random.h"
#include "model/checkpoint/transfer.h"
#include "model/config.h"
#include "model/training/train_step.h"

using namespace temper;

namespace {

double now_ms() {
  return std::chrono::duration<double, std::milli>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
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

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: bench_train PRESET cpu|cuda [SEQUENCES [TOKENS [STEPS]]]\n");
    return 2;
  }
  const auto number = [&](int i, int64_t otherwise) {
    return argc > i ? std::strtoll(argv[i], nullptr, 10) : otherwise;
  };
  const int64_t count = number(3, 8), length = number(4, 2048), steps = number(5, 12);
  ModelConfig config = preset_config(argv[1]);
  Context ctx(0, device_of(argv[2]));
  const int64_t free_before = available_memory(ctx.device);
  OwnedWeights weights;
  {
    OwnedWeights host = allocate_weights(config, DType::f32);
    fill_quickly(ctx, host, config);
    weights = ctx.device == Device::cpu ? std::move(host)
                                        : weights_on_device(ctx, host, config, DType::bf16);
  }
  TrainOptions options;
  options.optimizer.bf16_moments = ctx.device == Device::cuda;
  options.bias_update_speed = 0.001;
  options.balance_alpha = 0.0001;
  TrainStep step(ctx, config, weights, options);
  const std::vector<TrainSequence> batch = random_sequences(count, length, config.vocab_size);
  const double normaliser = static_cast<double>(count * (length - 1));
  std::vector<double> times;
  for (int64_t i = 0; i < steps; ++i) {
    double loss = 0.0;
    synchronize(ctx);
    const double start = now_ms();
    step.begin(count_global(batch, static_cast<int64_t>(weights.view.mtp.size())));
    step.accumulate(batch, [&](TokenLoss& tokens) {
      for (size_t s = 0; s < batch.size(); ++s)
        for (size_t t = 1; t < batch[s].ids.size(); ++t) {
          loss -= tokens.logprob[s][t] / normaliser;
          tokens.dlogprob[s][t] = -1.0 / normaliser;
        }
    });
    const StepReport report = step.finish(1e-4);
    synchronize(ctx);
    times.push_back(now_ms() - start);
    std::printf("step %2lld  %8.1f ms  loss %.4f  gradient norm %.4f  fullest expert %.2f\n",
                static_cast<long long>(i + 1), times.back(), loss, report.grad_norm,
                report.load_max_over_mean);
  }
  std::sort(times.begin(), times.end());
  const double median = times[times.size() / 2];
  std::printf(
      "%s: %lld x %lld tokens, median %.1f ms, %.0f tokens/s; activations %.2f GB, all "
      "%.2f GB\n",
      argv[1], static_cast<long long>(count), static_cast<long long>(length), median,
      static_cast<double>(count * length) / median * 1e3,
      static_cast<double>(step.activations().high_water_bytes()) / 1e9,
      static_cast<double>(free_before - available_memory(ctx.device)) / 1e9);
  return 0;
}
