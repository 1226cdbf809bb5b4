#include "model/checkpoint/gguf.h"

#include "core/error.h"
#include "tests/model/checkpoint/gguf_builder.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace temper {
namespace {

// The numbers of one tensor of this type and data.
std::vector<float> decoded(uint32_t type, uint64_t n, const std::string& data) {
  TemporaryFolder dir;
  test::GgufBuilder builder;
  builder.tensor("x", type, {n}, data);
  dir.write("a.gguf", builder.bytes());
  const GgufFile file(dir / "a.gguf");
  std::vector<float> values(n);
  dequantize_ggml(*file.find("x"), values.data());
  return values;
}

std::string error_of(const std::string& bytes) {
  TemporaryFolder dir;
  dir.write("a.gguf", bytes);
  try {
    GgufFile file(dir / "a.gguf");
  } catch (const UserError& error) {
    return error.what();
  }
  FAIL("the file opened");
  return "";
}

TEST_CASE("gguf: Q4_0, Q4_1 and Q8_0 blocks decode as their formulas say") {
  std::string q4;
  for (int i = 0; i < 16; ++i) q4 += static_cast<char>(i | (15 - i) << 4);
  const auto q4_0 = decoded(2, 32, std::string("\x00\x38", 2) + q4);          // d = 0.5
  const auto q4_1 = decoded(3, 32, std::string("\x00\x34\x00\xbc", 4) + q4);  // d = 0.25, m = -1
  std::string q8;
  for (int i = 0; i < 32; ++i) q8 += static_cast<char>(i * 8 - 128);
  const auto q8_0 = decoded(8, 32, std::string("\x00\x40", 2) + q8);  // d = 2
  for (int i = 0; i < 32; ++i) {
    const auto at = static_cast<size_t>(i);
    const int q = i < 16 ? i : 31 - i;
    CHECK(q4_0[at] == 0.5f * static_cast<float>(q - 8));
    CHECK(q4_1[at] == 0.25f * static_cast<float>(q) - 1.0f);
    CHECK(q8_0[at] == 2.0f * static_cast<float>(i * 8 - 128));
  }
}

TEST_CASE("gguf: Q6_K blocks decode to what was packed into them") {
  std::vector<int> q(256);
  for (size_t i = 0; i < 256; ++i) q[i] = static_cast<int>(i * 37 % 64);
  std::string low(128, '\0'), high(64, '\0'), scales;
  for (size_t half = 0; half < 2; ++half) {
    for (size_t i = 0; i < 32; ++i) {
      const size_t at = half * 128 + i;
      low[half * 64 + i] = static_cast<char>((q[at] & 15) | (q[at + 64] & 15) << 4);
      low[half * 64 + i + 32] = static_cast<char>((q[at + 32] & 15) | (q[at + 96] & 15) << 4);
      high[half * 32 + i] = static_cast<char>(q[at] >> 4 | (q[at + 32] >> 4) << 2 |
                                              (q[at + 64] >> 4) << 4 | (q[at + 96] >> 4) << 6);
    }
  }
  for (int s = 0; s < 16; ++s) scales += static_cast<char>(s * 5 - 40);
  const auto values = decoded(14, 256, low + high + scales + std::string("\x00\x38", 2));
  for (size_t i = 0; i < 256; ++i)
    CHECK(values[i] == 0.5f * static_cast<float>(static_cast<int>(i / 16) * 5 - 40) *
                           static_cast<float>(q[i] - 32));
}

TEST_CASE("gguf: F16 and BF16 decode") {
  CHECK(decoded(1, 2, std::string("\x00\x3c\x00\xc0", 4)) == std::vector<float>{1, -2});
  CHECK(decoded(30, 2, std::string("\x80\x3f\x00\xc0", 4)) == std::vector<float>{1, -2});
}

TEST_CASE("gguf: metadata of every kind reads back, shapes are row-major") {
  TemporaryFolder dir;
  test::GgufBuilder builder;
  builder.text("name", "x");
  builder.integer("count", 7);
  builder.real("eps", 0.5f);
  builder.texts("tokens", {"a", "", "b"});
  builder.f32("w", {2, 3}, {1, 2, 3, 4, 5, 6});
  dir.write("a.gguf", builder.bytes());
  const GgufFile file(dir / "a.gguf");
  CHECK(file.text_or("name", "") == "x");
  CHECK(file.integer("count") == 7);
  CHECK(file.number_or("eps", 0) == 0.5);
  CHECK(file.texts("tokens") == std::vector<std::string>{"a", "", "b"});
  CHECK(file.integer_or("absent", 3) == 3);
  CHECK(file.find("w")->shape == std::vector<int64_t>{2, 3});
  CHECK_THROWS_AS(file.integer("absent"), UserError);
  CHECK_THROWS_AS(file.integer("name"), UserError);
}

TEST_CASE("gguf: a damaged file is refused, and says what is damaged") {
  test::GgufBuilder builder;
  builder.integer("count", 7);
  builder.f32("first", {8}, std::vector<float>(8));
  builder.f32("second", {8}, std::vector<float>(8));
  const std::string good = builder.bytes();
  CHECK(error_of("GGML").find("GGUF") != std::string::npos);
  for (size_t cut = 4; cut < good.size() - 64; ++cut) error_of(good.substr(0, cut));
  const std::string cut = error_of(good.substr(0, good.size() - 40));
  CHECK(cut.find("second: truncated") != std::string::npos);
  CHECK(error_of(good.substr(0, good.size() - 70)).find("first: truncated") != std::string::npos);
  test::GgufBuilder odd;
  odd.tensor("odd", 12, {256}, std::string(144, 'x'));
  odd.tensor("ragged", 8, {33}, std::string(68, 'x'));
  const std::string message = error_of(odd.bytes());
  CHECK(message.find("odd: type 12") != std::string::npos);
  CHECK(message.find("ragged: rows") != std::string::npos);
}

}  // namespace
}  // namespace temper
