// How tokens are drawn, and by which random numbers.
#pragma once

#include <cstdint>
#include <string>

namespace temper {

// Filters act on the logits in this order, each on what the one before left:
//   1. temperature: z = logits / temperature. 0 is greedy: the first index of the largest logit.
//   2. top_k:  keeps the k likeliest tokens. 0: all.
//   3. top_p:  keeps the fewest likeliest tokens whose share of the mass that top_k left is at
//              least top_p. 1: all.
//   4. min_p:  keeps tokens at least min_p times as likely as the likeliest. 0: all.
// Among equally likely tokens the smaller id counts as the likelier one.
struct SamplingParams {
  double temperature = 1.0;
  int64_t top_k = 0;
  double top_p = 1.0;
  double min_p = 0.0;

  // The temperature at which log-probabilities are recorded: greedy ones at 1.
  double recorded_temperature() const { return temperature > 0.0 ? temperature : 1.0; }
  // Whether a token's recorded log-probability differs from that of the full distribution.
  bool filtered() const { return temperature <= 0.0 || top_k > 0 || top_p < 1.0 || min_p > 0.0; }
};

// Throws UserError naming `where` and the field if one is out of its range.
void check_sampling(const SamplingParams& params, const std::string& where);

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
