#include "rollout/sampling_params.h"

#include "core/error.h"
#include "tests/support/catch.h"

using namespace temper;

TEST_CASE("the sampling number hangs on every part of its key") {
  const SampleKey base{.seed = 5, .step = 1, .prompt = 2, .sample = 3};
  const double u = sampling_uniform(base, 7);
  CHECK(u == sampling_uniform(base, 7));
  SampleKey seed = base, step = base, prompt = base, sample = base;
  seed.seed += uint64_t{1} << 40;
  ++step.step;
  ++prompt.prompt;
  ++sample.sample;
  for (const SampleKey& key : {seed, step, prompt, sample}) CHECK(sampling_uniform(key, 7) != u);
  CHECK(sampling_uniform(base, 8) != u);
}

TEST_CASE("bad sampling parameters are refused") {
  CHECK_THROWS_AS(check_sampling({.temperature = -1.0}, "--temperature"), UserError);
  // 1 / temperature would be infinite, and so would the logits.
  CHECK_THROWS_WITH(check_sampling({.temperature = 1e-310}, "prompt 1"),
                    Contains("temperature is out of range") &&
                        Contains("0 (greedy) or at least 1e-06") && Contains("1e-310"));
  CHECK_NOTHROW(check_sampling({.temperature = kLeastTemperature}, ""));
  CHECK_NOTHROW(check_sampling({.temperature = 0.0}, ""));
  CHECK_THROWS_AS(check_sampling({.top_p = 0.0}, "--top-p"), UserError);
  CHECK_THROWS_AS(check_sampling({.min_p = 1.5}, "--min-p"), UserError);
  CHECK_NOTHROW(check_sampling({}, ""));
  CHECK_THROWS_WITH(check_stop_texts({"a", ""}), Contains("--stop") && Contains("leave it out"));
  CHECK_NOTHROW(check_stop_texts({"a", " "}));
}
