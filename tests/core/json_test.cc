// JSON texts: numbers to the last bit, and texts that are refused in words.
#include "core/json.h"

#include <cmath>
#include <limits>

#include "core/error.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

double number(const std::string& text) {
  const Json json = parse_json("[" + text + "]", "x");
  REQUIRE(json[0].IsNumber());
  return json[0].GetDouble();
}

std::string refusal(const std::string& text) {
  try {
    parse_json(text, "some.json");
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("json: numbers are the nearest doubles, however they are written") {
  CHECK(number("0e9") == 0.0);
  CHECK(number("0e99") == 0.0);
  CHECK(number("0.0e300") == 0.0);
  CHECK((number("-0.0") == 0.0 && std::signbit(number("-0.0"))));
  CHECK(number("0.1") == 0.1);
  CHECK(number("1E+2") == 100.0);
  CHECK(number("2.2250738585072014e-308") == std::numeric_limits<double>::min());
  CHECK(number("4.9406564584124654e-324") == std::numeric_limits<double>::denorm_min());
  CHECK(number("1e-999") == 0.0);
  CHECK(number("1.7976931348623157e308") == std::numeric_limits<double>::max());
  CHECK(number("123456789012345678901234567890") == 123456789012345678901234567890.0);
  CHECK(number("0." + std::string(400, '0') + "1") == 0.0);
}

TEST_CASE("json: whole numbers keep their kind") {
  const Json json = parse_json(
      "[0,7,-7,-0,2147483648,4294967296,-2147483649,18446744073709551615,"
      "-9223372036854775808,18446744073709551616]",
      "x");
  for (rapidjson::SizeType i = 0; i < 4; ++i) CHECK(json[i].IsInt());
  CHECK((json[4].IsUint() && !json[4].IsInt()));
  CHECK((json[5].IsInt64() && !json[5].IsUint()));
  CHECK((json[6].IsInt64() && !json[6].IsInt()));
  CHECK(json[7].GetUint64() == std::numeric_limits<uint64_t>::max());
  CHECK(json[8].GetInt64() == std::numeric_limits<int64_t>::min());
  CHECK(json[9].IsDouble());
}

TEST_CASE("json: a mistake is named with its place") {
  CHECK_THAT(refusal("{\"a\": 1,\n \"b\": 1e309}"),
             Contains("some.json:2, column 7") && Contains("Number too big"));
  CHECK_THAT(refusal("[9e308]"), Contains("Number too big"));
  CHECK_THAT(refusal("{\"a\" 1}"), Contains("some.json, column 6") && Contains("colon"));
  for (const char* text : {"", "01", "1.", "1e", "-", "+1", ".5", "NaN", "[1", "[1,]", "1 2"})
    CHECK_FALSE(refusal(text).empty());
}

TEST_CASE("json: a million brackets are refused, a thousand are read") {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  CHECK(refusal(nested(1000)).empty());
  CHECK_THAT(refusal(nested(1001)), Contains("Nested more than 1000 deep"));
  CHECK_THAT(refusal(std::string(1000000, '[')), Contains("Nested more than 1000 deep"));
  std::string objects;
  for (int i = 0; i < 1000000; ++i) objects += "{\"a\":";
  CHECK_THAT(refusal(objects), Contains("Nested more than 1000 deep"));
}
