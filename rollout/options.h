// The options that every subcommand that samples has.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/options.h"
#include "rollout/engine.h"

namespace temper {

struct SamplingOptions {
  SamplingParams params = {};
  int64_t max_new_tokens = 512;
  int64_t seed = 0;
  std::vector<std::string> stop = {};
  bool ignore_eos = false;
  int64_t batch = 64;           // samples decoded together
  int64_t cache_memory = 4096;  // MiB
  DType dtype = DType::f32;

  EngineLimits limits() const;
};

// Appends the options under the groups "Sampling" and "Speed and memory".
void add_sampling_options(OptionsTable& table, SamplingOptions& options);

}  // namespace temper
