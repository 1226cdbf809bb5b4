#include "model/checkpoint/elements.h"

#include <cmath>
#include <limits>
#include <vector>

#include "core/narrow_float.h"
#include "tests/support/catch.h"

namespace temper {
namespace {

TEST_CASE("elements: BF16 rounds to nearest, ties to even") {
  CHECK(to_bf16(1.0f) == 0x3f80);
  CHECK(to_bf16(1.0f + 0x1p-8f) == 0x3f80);             // a tie, down to even
  CHECK(to_bf16(1.0f + 0x1p-7f + 0x1p-8f) == 0x3f82);   // a tie, up to even
  CHECK(to_bf16(1.0f + 0x1p-8f + 0x1p-20f) == 0x3f81);  // just above the tie
  CHECK(to_bf16(-1.0f - 0x1p-8f - 0x1p-20f) == 0xbf81);
  CHECK(to_bf16(std::numeric_limits<float>::max()) == 0x7f80);  // rounds up to infinity
  CHECK(std::isnan(from_bf16(to_bf16(std::numeric_limits<float>::quiet_NaN()))));
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = from_bf16(static_cast<uint16_t>(bits));
    if (!std::isnan(value)) REQUIRE(to_bf16(value) == bits);
  }
}

TEST_CASE("elements: F16 values, subnormals and infinity included") {
  CHECK(from_f16(0x3c00) == 1.0f);
  CHECK(from_f16(0xc000) == -2.0f);
  CHECK(from_f16(0x7bff) == 65504.0f);
  CHECK(from_f16(0x0001) == 0x1p-24f);
  CHECK(from_f16(0x03ff) == 1023 * 0x1p-24f);
  CHECK(from_f16(0x0400) == 0x1p-14f);
  CHECK(from_f16(0xfc00) == -std::numeric_limits<float>::infinity());
  CHECK(std::isnan(from_f16(0x7e00)));
}

TEST_CASE("elements: every E4M3 number reads as its formula says and writes back") {
  for (int bits = 0; bits < 256; ++bits) {
    const int exponent = (bits >> 3) & 15, mantissa = bits & 7;
    const float value = from_f8_e4m3(static_cast<uint8_t>(bits));
    if (exponent == 15 && mantissa == 7) {
      CHECK(std::isnan(value));
      continue;
    }
    const double magnitude = exponent == 0 ? std::ldexp(mantissa / 8.0, -6)
                                           : std::ldexp(1 + mantissa / 8.0, exponent - 7);
    CHECK(value == (bits & 128 ? -magnitude : magnitude));
    CHECK(to_f8_e4m3(value) == bits);
  }
}

TEST_CASE("elements: E4M3 rounds to the nearest number, ties to even, and saturates") {
  for (int bits = 0; bits < 0x7e; ++bits) {
    const float a = from_f8_e4m3(static_cast<uint8_t>(bits));
    const float b = from_f8_e4m3(static_cast<uint8_t>(bits + 1));
    const float middle = (a + b) / 2;
    CHECK(to_f8_e4m3(middle) == (bits % 2 == 0 ? bits : bits + 1));
    CHECK(to_f8_e4m3(std::nextafter(middle, 0.0f)) == bits);
    CHECK(to_f8_e4m3(std::nextafter(middle, 1000.0f)) == bits + 1);
  }
  CHECK(to_f8_e4m3(1e9f) == 0x7e);
  CHECK(to_f8_e4m3(-1e9f) == 0xfe);
}

TEST_CASE("elements: FP8 blocks are scaled one by one, ragged ones included") {
  // 3 x 5 in blocks of 2 x 2: 2 x 3 scales, the last row and column of blocks cut.
  const Fp8Blocks blocks{.rows = 3, .cols = 5, .block_rows = 2, .block_cols = 2};
  REQUIRE(blocks.scale_rows() == 2);
  REQUIRE(blocks.scale_cols() == 3);
  const std::vector<float> scales = {1, 10, 100, 2, 20, 200};
  std::vector<uint8_t> q(15);
  for (int i = 0; i < 15; ++i) q[static_cast<size_t>(i)] = to_f8_e4m3(static_cast<float>(i % 8));
  const std::vector<float> expected = {0, 1, 20, 30, 400, 5, 6, 70, 0, 100, 4, 6, 80, 100, 1200};
  std::vector<float> w(15);
  dequantize_fp8(blocks, {0, blocks.rows}, q.data(), scales.data(), w.data(), DType::f32);
  CHECK(w == expected);
  std::vector<double> wide(15);
  dequantize_fp8(blocks, {0, blocks.rows}, q.data(), scales.data(), wide.data(), DType::f64);
  for (size_t i = 0; i < 15; ++i) CHECK(wide[i] == expected[i]);
  dequantize_fp8(blocks, {1, 2}, q.data(), scales.data(), w.data(), DType::f32);
  for (size_t i = 0; i < 10; ++i) CHECK(w[i] == expected[i + 5]);
}

TEST_CASE("elements: quantising to FP8 keeps each block within its step") {
  const Fp8Blocks blocks{.rows = 130, .cols = 200};
  std::vector<float> w(130 * 200), back(w.size());
  for (size_t i = 0; i < w.size(); ++i)
    w[i] = std::sin(static_cast<float>(i)) * (i % 200 < 128 ? 1e-3f : 50.0f);
  for (size_t i = 128; i < 200; ++i) w[128 * 200 + i] = w[129 * 200 + i] = 0;  // a block of zeros
  std::vector<uint8_t> q(w.size());
  std::vector<float> scales(4);
  quantize_fp8(blocks, w.data(), q.data(), scales.data());
  dequantize_fp8(blocks, {0, blocks.rows}, q.data(), scales.data(), back.data(), DType::f32);
  for (size_t i = 0; i < w.size(); ++i) {
    const float unit = scales[i / 200 / 128 * 2 + i % 200 / 128];
    REQUIRE(std::abs(back[i] - w[i]) <= std::abs(w[i]) / 16 + unit * 0x1p-10f);
  }
  CHECK(scales[3] == 1.0f);
}

}  // namespace
}  // namespace temper
