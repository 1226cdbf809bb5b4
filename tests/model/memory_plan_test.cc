#include "model/training/memory_plan.h"

#include "core/error.h"
#include "model/training/train_step.h"
#include "tests/support/catch.h"

namespace temper {
namespace {

int64_t bytes_of(const std::vector<MemoryPlan::Item>& items, const std::string& name) {
  for (const MemoryPlan::Item& item : items)
    if (item.name == name) return item.bytes;
  FAIL("no item " + name);
  return 0;
}

// Bytes that the activations and temporaries of one step really take.
double measured_bytes(const ModelConfig& config, const TrainOptions& options, int64_t tokens) {
  Context ctx(1);
  OwnedWeights weights = allocate_weights(config, DType::f32);
  initialize_weights(weights.view, config, 1);
  TrainStep step(ctx, config, weights, options);
  const auto n = static_cast<size_t>(tokens);
  const std::vector<TrainSequence> batch = {
      {.ids = std::vector<int32_t>(n, 65), .mask = std::vector<uint8_t>(n, 1)}};
  step.begin(count_global(batch, config.num_nextn_predict_layers));
  step.accumulate(batch, [](TokenLoss& loss) {
    loss.dlogprob = loss.logprob;
    for (auto& row : loss.dlogprob) row.assign(row.size(), -1.0);
  });
  return static_cast<double>(step.activations().high_water_bytes() +
                             ctx.scratch.high_water_bytes());
}

TEST_CASE("memory plan: activations are as planned, within a quarter") {
  const ModelConfig config = preset_config("tiny");
  for (const bool recompute : {false, true}) {
    TrainOptions options;
    options.recompute = recompute;
    options.mtp_weight = 0.1;
    const int64_t tokens = 256;
    const auto items = estimate_training(config, options, {.micro_batch_tokens = tokens}).items;
    const double measured = measured_bytes(config, options, tokens);
    const auto planned = static_cast<double>(bytes_of(items, "activations") +
                                             bytes_of(items, "head, one chunk of logits"));
    INFO("recompute " << recompute << ", planned " << planned << ", measured " << measured);
    CHECK(measured < 1.25 * planned);
    CHECK(measured > 0.75 * planned);
  }
}

TEST_CASE("memory plan: a micro-batch is no larger than what an update has") {
  const ModelConfig config = preset_config("tiny");
  const PlanRequest roomy = {.longest_sequence = 50, .memory_bytes = int64_t{1} << 40};
  PlanRequest small = roomy;
  small.update_tokens = 300;
  const MemoryPlan plan = estimate_training(config, {}, small);
  CHECK(estimate_training(config, {}, roomy).micro_batch_tokens == 8192);
  CHECK(plan.micro_batch_tokens == 300);
  CHECK(bytes_of(plan.items, "activations") ==
        300 * activation_bytes_per_token(config, {}, DType::f32));
  small.micro_batch_tokens = 100;  // what was asked for stays
  CHECK(estimate_training(config, {}, small).micro_batch_tokens == 100);
  small.micro_batch_tokens = 1000;
  const MemoryPlan asked = estimate_training(config, {}, small);
  CHECK(asked.micro_batch_tokens == 1000);
  CHECK(bytes_of(asked.items, "activations") == bytes_of(plan.items, "activations"));
}

TEST_CASE("memory plan: on a GPU in bf16 attention's backward is counted") {
  const ModelConfig config = preset_config("v3-1b");  // 8 heads
  PlanRequest request = {.dtype = DType::bf16,
                         .device = Device::cuda,
                         .longest_sequence = 2048,
                         .micro_batch_tokens = 16384,
                         .memory_bytes = int64_t{1} << 40};
  const auto bytes = [&] {
    return bytes_of(estimate_training(config, {}, request).items, "attention's backward");
  };
  CHECK(bytes() == 16384 * (2048 + 128) * 8);
  request.longest_sequence = 16384;  // heads are taken in turn
  CHECK(bytes() == 16384 * (int64_t{64} << 10));
  // Many more rows of the head are cheap at once where their logits are not in memory in f32.
  CHECK(bytes_of(estimate_training(config, {}, request).items, "head, one chunk of logits") ==
        std::max<int64_t>(4096 * 6, 8192 * 2) * config.vocab_size);
}

TEST_CASE("memory plan: models of rewards take their share, and are named where it is too much") {
  const ModelConfig config = preset_config("tiny");
  const PlanRequest alone = {.longest_sequence = 50, .memory_bytes = int64_t{64} << 20};
  PlanRequest judged = alone;
  judged.others = {{"reward rm: weights", 20 << 20}};
  const MemoryPlan plan = estimate_training(config, {}, judged);
  CHECK(bytes_of(plan.items, "reward rm: weights") == 20 << 20);
  CHECK(plan.micro_batch_tokens < estimate_training(config, {}, alone).micro_batch_tokens);
  judged.others = {{"reward judge: weights", int64_t{70} << 20}};
  try {
    plan_training(config, {}, judged);
    FAIL("planned");
  } catch (const UserError& error) {
    CHECK_THAT(error.what(), Contains("reward judge: weights"));
  }
  const auto scoring = estimate_scoring(config, DType::bf16, 1000);
  CHECK(bytes_of(scoring, "weights") == 2 * count_parameters(config).total);
  CHECK(bytes_of(scoring, "activations") > 2 * 1000 * config.hidden_size);
}

TEST_CASE("memory plan: memory that runs out is explained") {
  const MemoryPlan plan =
      estimate_training(preset_config("tiny"), {}, {.micro_batch_tokens = 64, .memory_bytes = 1});
  Arena activations, scratch;
  activations.tensor("mla.q", DType::f32, {100});
  activations.tensor("moe.gate_up", DType::f32, {1 << 20});
  for (const char* name : {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"})
    scratch.tensor(name, DType::f32, {1});
  const std::string text = out_of_memory_text("no more memory", plan, activations, scratch);
  CHECK(text.starts_with("no more memory\nmemory plan (micro-batches of 64 tokens)\n"));
  CHECK(text.find("moe.gate_up") < text.find("mla.q"));
  CHECK(text.find("4.0 MiB  moe.gate_up") != std::string::npos);
  CHECK(text.find("MiB  m\n") != std::string::npos);  // the twelve largest; by name among equals
  CHECK(text.find("MiB  a\n") == std::string::npos);
  CHECK(text.find("lower --micro-batch-tokens") != std::string::npos);
}

TEST_CASE("memory plan: V3's cache is 70 kB a token in BF16, as published") {
  const auto items = estimate_generation(preset_config("deepseek-v3"),
                                         {.dtype = DType::bf16, .sequences = 2, .tokens = 500});
  CHECK(bytes_of(items, "KV cache") == 1000 * 70272);
}

TEST_CASE("memory plan: what does not fit names the flags that make it smaller") {
  const ModelConfig config = preset_config("tiny");
  PlanRequest request = {.micro_batch_tokens = 100, .memory_bytes = int64_t{1} << 30};
  CHECK_NOTHROW(plan_training(config, {}, request));
  request.cache_bytes = int64_t{1} << 40;  // the cache alone is too large
  CHECK_THROWS_WITH(plan_training(config, {}, request),
                    Contains("lower --rollout-batch or --max-new-tokens") &&
                        !Contains("--micro-batch-tokens") && !Contains("--max-tokens"));
  request.micro_batch_tokens = 1 << 24;  // and so is the rest
  CHECK_THROWS_WITH(plan_training(config, {}, request), Contains("--micro-batch-tokens") &&
                                                            Contains("--rollout-batch") &&
                                                            !Contains("--max-tokens"));
  request.cache_bytes = 0;
  CHECK_THROWS_WITH(plan_training(config, {}, request),
                    Contains("--micro-batch-tokens") && Contains("--max-tokens"));
}

}  // namespace
}  // namespace temper
