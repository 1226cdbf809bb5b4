// How long a large step takes to record. Not part of the tests: build/test_data "[bench]"
#include <chrono>
#include <ctime>

#include "data/store_reader.h"
#include "tests/data/store_fixture.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

namespace {

// 32 prompts with 16 samples of 300 tokens, 3 log-probabilities a token, 2 rewards, 60 metrics.
void insert_large_step(StepWriter& writer, int64_t step) {
  const std::vector<int32_t> ids(300, 1234);
  const std::vector<float> logprobs(300, -0.7f);
  const std::vector<uint8_t> mask(300, 1);
  const std::string text(1200, 'x');
  for (int64_t group = 0; group < 32; ++group) {
    const std::string key = "p" + std::to_string(step * 32 + group);
    const int64_t prompt = writer.add_prompt({.key = key, .text = text, .ids = ids});
    for (int64_t i = 0; i < 16; ++i) {
      const int64_t sample = writer.add_sample({.prompt_id = prompt,
                                                .group_index = group,
                                                .sample_index = i,
                                                .completion = text,
                                                .finish_reason = "stop",
                                                .ids = ids,
                                                .loss_mask = mask,
                                                .rollout_logprobs = logprobs,
                                                .trainer_logprobs = logprobs,
                                                .reference_logprobs = logprobs,
                                                .reward = 1.0,
                                                .advantage = 0.1});
      writer.add_reward(sample, {.rule = "math", .value = 1.0, .status = "ok", .extracted = "4"});
      writer.add_reward(sample, {.rule = "format", .value = 1.0, .status = "ok"});
    }
  }
  for (int m = 0; m < 60; ++m) writer.add_metric("metric/" + std::to_string(m), m);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TEST_CASE("bench: a step of 512 samples of 300 tokens", "[.][bench]") {
  constexpr int64_t kSteps = 20;
  const TemporaryFolder folder;
  Store store(folder.path());
  const int64_t run = store.begin_run(small_run());
  double insert = 0, commit = 0;
  const std::clock_t cpu = std::clock();
  for (int64_t step = 1; step <= kSteps; ++step) {
    auto start = std::chrono::steady_clock::now();
    StepWriter writer(store, {run, "grpo", step}, step - 1);
    insert_large_step(writer, step);
    insert += seconds_since(start);
    start = std::chrono::steady_clock::now();
    writer.commit({});
    commit += seconds_since(start);
  }
  const double cpu_ms = 1e3 * static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC;
  WARN("a step: insert " << 1e3 * insert / kSteps << " ms, commit " << 1e3 * commit / kSteps
                         << " ms, CPU of both " << cpu_ms / kSteps << " ms");
  REQUIRE(store.database().value<int64_t>("SELECT count(*) FROM samples") == kSteps * 512);
}
