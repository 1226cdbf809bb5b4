#include "rollout/options.h"

namespace temper {

EngineLimits SamplingOptions::limits() const {
  return {.max_samples = batch, .max_rows = 256, .cache_bytes = cache_memory << 20};
}

void add_sampling_options(OptionsTable& table, SamplingOptions& o) {
  table.group("Sampling");
  table.add("temperature", &o.params.temperature, "0 takes the likeliest token").at_least(0);
  table.add("top-k", &o.params.top_k, "keep the k likeliest tokens; 0: all").at_least(0);
  table.add("top-p", &o.params.top_p, "keep the likeliest tokens of this share of the mass")
      .range(0, 1)
      .above(0);
  table.add("min-p", &o.params.min_p, "keep tokens at least so likely, relative to the likeliest")
      .range(0, 1);
  table.add("max-new-tokens", &o.max_new_tokens, "longest completion").unit("tokens").at_least(1);
  table.add("stop", &o.stop, "text that ends a completion (repeatable)").value_name("TEXT");
  table.add("ignore-eos", &o.ignore_eos, "go on to the longest completion");
  table.add("seed", &o.seed, "of the random numbers").at_least(0);
  table.group("Speed and memory");
  table.add("batch", &o.batch, "samples decoded together").range(1, 4096);
  table.add("cache-memory", &o.cache_memory, "the cache grows up to this")
      .unit("MiB")
      .range(1, 1 << 30);
  table.add_choice(
      "dtype", &o.dtype,
      {{"f32", DType::f32}, {"f64", DType::f64}, {"bf16", DType::bf16}, {"f16", DType::f16}},
      "arithmetic; f64 on the CPU alone, bf16 (the default there) and f16 on the GPU alone");
}

}  // namespace temper
