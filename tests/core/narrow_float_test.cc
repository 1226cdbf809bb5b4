#include "core/narrow_float.h"

#include <cmath>
#include <limits>

#include "tests/support/catch.h"

using namespace temper;

TEST_CASE("f16: every value survives the way to float and back") {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float value = from_f16(static_cast<uint16_t>(bits));
    if (!std::isnan(value)) REQUIRE(to_f16(value) == bits);
  }
  CHECK(std::isnan(from_f16(to_f16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST_CASE("f16: rounding goes to the nearest, ties to even, beyond the largest to infinity") {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const float low = from_f16(static_cast<uint16_t>(bits));
    const float high = from_f16(static_cast<uint16_t>(bits + 1));
    const float middle = (low + high) / 2;  // exact in f32
    REQUIRE(to_f16(middle) == (bits % 2 == 0 ? bits : bits + 1));
    REQUIRE(to_f16(std::nextafter(middle, 0.0f)) == bits);
    REQUIRE(to_f16(std::nextafter(middle, 1e9f)) == bits + 1);
  }
  CHECK(to_f16(65519.996f) == 0x7bff);
  CHECK(to_f16(65520.0f) == 0x7c00);
  CHECK(to_f16(-1e30f) == 0xfc00);
}
