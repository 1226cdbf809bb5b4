// Counter-based random numbers: the same (key, counter) gives the same number on any thread,
// machine or batch. Philox4x32-10 (Salmon et al., SC 2011).
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace temper {

struct Philox {
  // Ten rounds of Philox on `counter` under `key`.
  static std::array<uint32_t, 4> block(std::array<uint32_t, 4> counter,
                                       std::array<uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{0xD2511F53} * counter[0];
      const uint64_t p1 = uint64_t{0xCD9E8D57} * counter[2];
      counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(p1),
                 static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(p0)};
      key[0] += 0x9E3779B9;
      key[1] += 0xBB67AE85;
    }
    return counter;
  }
};

// What draws of one purpose have in common, so that no two purposes ever share numbers.
enum class RandomStream : uint32_t { weights = 1, shuffle, sampling, data };

// A sequence of numbers keyed by (seed, stream, a, b); cheap to make at any place.
class Random {
 public:
  Random(uint64_t seed, RandomStream stream, uint32_t a = 0, uint32_t b = 0)
      : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
        counter_{0, a, b, static_cast<uint32_t>(stream)} {}

  uint32_t next_u32() {
    if (used_ == 4) {
      block_ = Philox::block(counter_, key_);
      ++counter_[0];
      used_ = 0;
    }
    return block_[used_++];
  }
  // Uniform in [0, 1), 53 bits.
  double uniform() {
    const uint64_t high = next_u32() >> 5, low = next_u32() >> 6;
    return static_cast<double>((high << 26) | low) * 0x1.0p-53;
  }
  // Uniform in [0, n), n > 0, without modulo bias.
  uint32_t below(uint32_t n) {
    const uint32_t limit = UINT32_MAX - UINT32_MAX % n;
    uint32_t x = next_u32();
    while (x >= limit) x = next_u32();
    return x % n;
  }
  // Standard normal (Box-Muller; one of the pair is dropped to keep the sequence simple).
  double normal() {
    const double u = 1.0 - uniform(), v = uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * v);
  }

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 4> block_{};
  unsigned used_ = 4;
};

}  // namespace temper
