#include "rollout/sampling_params.h"

#include "core/error.h"
#include "core/options.h"
#include "core/random.h"

namespace temper {

namespace {

void check_range(bool holds, const char* field, double value, const std::string& expected,
                 const std::string& where) {
  if (holds) return;
  throw UserError({.what = std::string(field) + " is out of range",
                   .where = where,
                   .expected = expected,
                   .found = option_text(value)});
}

}  // namespace

void check_sampling(const SamplingParams& p, const std::string& where) {
  check_range(p.temperature == 0.0 || p.temperature >= kLeastTemperature, "temperature",
              p.temperature, "0 (greedy) or at least " + option_text(kLeastTemperature), where);
  check_range(p.top_k >= 0, "top_k", static_cast<double>(p.top_k), "0 (all) or more", where);
  check_range(p.top_p > 0.0 && p.top_p <= 1.0, "top_p", p.top_p, "above 0, at most 1", where);
  check_range(p.min_p >= 0.0 && p.min_p <= 1.0, "min_p", p.min_p, "0 to 1", where);
}

void check_stop_texts(const std::vector<std::string>& texts) {
  for (const std::string& text : texts)
    if (text.empty())
      throw UserError({.what = "an empty text ends no completion",
                       .where = "--stop \"\"",
                       .expected = "a text",
                       .hint = "leave it out"});
}

double sampling_uniform(const SampleKey& key, uint32_t position) {
  // Other purposes have the bare stream number in the last word, so none shares these counters.
  const uint32_t stream = key.step << 8 | static_cast<uint32_t>(RandomStream::sampling);
  const auto block =
      Philox::block({position, key.sample, key.prompt, stream},
                    {static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32)});
  const uint64_t high = block[0] >> 5, low = block[1] >> 6;
  return static_cast<double>((high << 26) | low) * 0x1.0p-53;
}

}  // namespace temper
