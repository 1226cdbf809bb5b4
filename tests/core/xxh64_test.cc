#include "core/xxh64.h"

#include <string>

#include "tests/support/catch.h"

using namespace temper;

TEST_CASE("xxh64: the numbers of the reference program") {
  // Source: xxhsum 0.8.1 -H64 on files of these bytes.
  CHECK(xxh64("") == 0xef46db3751d8e999);
  CHECK(xxh64("a") == 0xd24ec4f1a98c6e5b);
  CHECK(xxh64("abc") == 0x44bc2cf5ad770999);
  std::string bytes;
  for (int i = 0; i < 1000; ++i) bytes += static_cast<char>(i * 7 + 3);
  CHECK(xxh64(bytes) == 0x5f235fa033f1a3fb);
}

TEST_CASE("xxh64: every byte and every length counts") {
  std::string text(100, 'x');
  for (size_t length = 0; length < text.size(); ++length)
    CHECK(xxh64({text.data(), length}) != xxh64({text.data(), length + 1}));
  const uint64_t whole = xxh64(text);
  for (char& c : text) {
    c ^= 1;
    CHECK(xxh64(text) != whole);
    c ^= 1;
  }
}
