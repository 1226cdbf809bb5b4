#include "model/ops/halves.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "core/float_halves.h"
#include "core/narrow_float.h"
#include "core/random.h"
#include "tests/model/ops/op_test.h"

namespace temper {
namespace {

uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
float float_of(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}

TEST_CASE("halves of a float give it back bit for bit, and the high one is the nearest bf16") {
  Random random(3, RandomStream::data);
  for (int i = 0; i < 200000; ++i) {
    uint32_t bits = random.below(1U << 16) << 16 | random.below(1U << 16);
    if (i % 4 == 0) bits = (bits & 0xFFFF0000U) | 0x8000U;  // half-way between two bf16
    const float x = float_of(bits);
    const FloatHalves halves = split_float(x);
    const float back = join_float(halves), high = from_bf16(halves.high);
    if (std::isnan(x)) {
      REQUIRE(std::isnan(high));
      REQUIRE(std::isnan(back));
      continue;
    }
    REQUIRE(bits_of(back) == bits);
    if (bits << 16 == 0x80000000U) {
      REQUIRE((std::isinf(high) || std::abs(high) > std::abs(x)));
    } else {
      REQUIRE(halves.high == to_bf16(x));
    }
  }
  for (const float x : {0.0F, -0.0F, std::numeric_limits<float>::infinity(),
                        -std::numeric_limits<float>::infinity(), std::numeric_limits<float>::max(),
                        std::numeric_limits<float>::denorm_min()})
    CHECK(bits_of(join_float(split_float(x))) == bits_of(x));
}

// What f16's halves hold of a number: all of it, or below 2^-16 the nearest multiple of 2^-39.
float held(float x) {
  if (std::abs(x) >= 0x1p-16F) return x;
  return static_cast<float>(std::nearbyint(static_cast<double>(x) * 0x1p39) * 0x1p-39) + 0.0F;
}

TEST_CASE("halves of a float with an f16 hold it, and the high one is the nearest f16") {
  Random random(4, RandomStream::data);
  for (int i = 0; i < 200000; ++i) {
    uint32_t bits = random.below(1U << 16) << 16 | random.below(1U << 16);
    if (i % 4 == 0) bits = (bits & 0xFFFFE000U) | 0x1000U;              // half-way between two f16
    if (i % 2 == 0) bits = (bits & 0x807FFFFFU) | (90 + i % 54) << 23;  // f16's range and below
    const float x = float_of(bits);
    const FloatHalves halves = split_float_f16(x), again = split_float_f16(join_float_f16(halves));
    const float back = join_float_f16(halves);
    REQUIRE(again.high == halves.high);
    REQUIRE(again.low == halves.low);
    if (std::isnan(x)) {
      REQUIRE(std::isnan(back));
    } else if (std::abs(x) >= 65520.0F) {
      REQUIRE(back == std::copysign(std::numeric_limits<float>::infinity(), x));
    } else {
      REQUIRE(back == held(x));
      REQUIRE(halves.high == to_f16(held(x)));
    }
  }
}

TEST_CASE("halves of a tensor are those of its numbers", "[ops]") {
  test::Tensors make;
  Context ctx(2);
  const Tensor x = make.normal(DType::f32, {1003});
  const OwnedTensor high = allocate(DType::bf16, {1003}), low = allocate(DType::u8, {1003, 2});
  const Tensor back = make.poisoned(DType::f32, {1003});
  split_halves(ctx, high.view, low.view, x);
  join_halves(ctx, back, high.view, low.view);
  CHECK(test::same_bits(back, x));
  CHECK(static_cast<const uint16_t*>(high.view.data)[7] == split_float(x.get<float>()[7]).high);
  CHECK_THROWS_AS(split_halves(ctx, low.view, low.view, x), ContractError);
}

}  // namespace
}  // namespace temper
