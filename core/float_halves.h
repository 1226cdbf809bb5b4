// A float in two halves of 16 bits.
#pragma once

#include <bit>
#include <cstdint>

namespace temper {

// `high` is the nearest bf16, ties away from zero, and `low` what is added to
// its bits, as a signed number, to have the float's. A NaN becomes a NaN of its upper bits.
struct FloatHalves {
  uint16_t high, low;
};
inline FloatHalves split_float(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (value != value) return {static_cast<uint16_t>(bits >> 16 | 0x40), 0};
  return {static_cast<uint16_t>((bits + 0x8000) >> 16), static_cast<uint16_t>(bits)};
}
inline float join_float(FloatHalves halves) {
  const uint32_t high = static_cast<uint32_t>(halves.high) << 16;
  return std::bit_cast<float>(high + halves.low - (halves.low & 0x8000U) * 2);
}

}  // namespace temper
