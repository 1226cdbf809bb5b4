// How tokens are drawn, and by which random numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/ops/sample.h"

namespace temper {

// A temperature is 0 (greedy) or no less: logits over a smaller one could leave the numbers that
// there are.
constexpr double kLeastTemperature = 1e-6;

// Throws UserError naming `where` and the field if one is out of its range.
void check_sampling(const SamplingParams& params, const std::string& where);
// Throws UserError for an empty text among those that end a completion: it would end none.
void check_stop_texts(const std::vector<std::string>& texts);

// What the random number of a token is keyed by, besides the token's position: the same key gives
// the same completion whatever it was batched with.
struct SampleKey {
  uint64_t seed = 0;
  uint32_t step = 0;    // of the run; below 2^24
  uint32_t prompt = 0;  // its index in the data
  uint32_t sample = 0;  // within the prompt's group
};

// The number in [0, 1), 53 bits, that draws the token `position` of a completion.
// Source: Philox4x32-10 with key = seed, counter = (position, sample, prompt, step and stream).
double sampling_uniform(const SampleKey& key, uint32_t position);

}  // namespace temper
