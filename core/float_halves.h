// A float in two halves of 16 bits.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "core/narrow_float.h"

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

// The same with an f16: `high` is the nearest one, ties to even, and `low` what is added to it, as
// a signed number of 2^-15 of f16's steps there. That is exact where f16 has its full precision
// and a little below, for numbers from 2^-16 to 65504; smaller ones are rounded to multiples of
// 2^-39 first. Beyond 65520 is infinity. What was joined is split the same again.
inline float step_of_f16(uint16_t high) {  // times 2^-15
  const uint32_t exponent = (high >> 10) & 0x1f;
  return std::bit_cast<float>(((exponent > 0 ? exponent : 1) + 127 - 40) << 23);
}
inline FloatHalves split_float_f16(float value) {
  const float x =  // a zero is +0
      std::fabs(value) < 0x1p-14F ? std::rint(value * 0x1p39F) * 0x1p-39F + 0.0F : value;
  const uint16_t high = to_f16(x);
  if ((high & 0x7c00) == 0x7c00) return {high, 0};  // infinity or NaN
  const float rest = (x - from_f16(high)) / step_of_f16(high);
  return {high, static_cast<uint16_t>(static_cast<int16_t>(rest))};
}
inline float join_float_f16(FloatHalves halves) {
  return from_f16(halves.high) +
         static_cast<float>(static_cast<int16_t>(halves.low)) * step_of_f16(halves.high);
}

}  // namespace temper
