#include "core/bytes.h"

#include "tests/support/catch.h"

using namespace temper;

TEST_CASE("bytes: what is written is read back") {
  ByteWriter out;
  out.put<int32_t>(-7);
  out.put_text("text");
  out.put_array(std::vector<double>{1.5, -0.0});
  out.put_array(std::vector<uint16_t>{});
  out.put(0.1);
  ByteReader in(out.bytes(), "test");
  CHECK(in.get<int32_t>() == -7);
  CHECK(in.get_text() == "text");
  CHECK(in.get_array<double>() == std::vector<double>{1.5, -0.0});
  CHECK(in.get_array<uint16_t>().empty());
  CHECK(in.get<double>() == 0.1);
  CHECK_NOTHROW(in.finish());
}

TEST_CASE("bytes: an end too early, too late or a length past it is the file's fault") {
  ByteWriter out;
  out.put_array(std::vector<int32_t>{1, 2, 3});
  const std::string whole = out.bytes();
  for (size_t length = 0; length < whole.size(); ++length) {
    ByteReader in({whole.data(), length}, "run.db");
    CHECK_THROWS_WITH(in.get_array<int32_t>(), Contains("run.db"));
  }
  ByteReader longer(whole, "run.db");
  longer.get<int32_t>();
  CHECK_THROWS_AS(longer.finish(), UserError);
  ByteWriter huge;
  huge.put<uint64_t>(~uint64_t{0});
  ByteReader in(huge.bytes(), "run.db");
  CHECK_THROWS_AS(in.get_array<double>(), UserError);  // and asks for no memory
}
