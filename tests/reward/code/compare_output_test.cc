#include "reward/code/compare_output.h"

#include "tests/support/catch.h"

using namespace temper;

namespace {

bool lines(const std::string& output, const std::string& expected) {
  return !difference_of(output, expected, OutputComparison::lines, std::nullopt);
}
bool near(const std::string& output, const std::string& expected, double tolerance = 1e-6) {
  return !difference_of(output, expected, OutputComparison::lines, tolerance);
}

}  // namespace

TEST_CASE("compare_output: lines forgive white space at their ends and nothing else") {
  for (const char* same : {"1\n2\n", "1\n2", "1 \n2\t\r\n", "1\n2\n\n\n", "1\n2\n \n"}) {
    INFO(same);
    CHECK(lines(same, "1\n2\n"));
  }
  for (const char* other : {"", "1", "1\n", "1\n2\n3\n", "2\n1\n", "1 2\n", "\n1\n2\n", "1\n\n2\n",
                            " 1\n2\n", "1\n2\n0", "1\n2.0\n", "01\n2\n"}) {
    INFO(other);
    CHECK_FALSE(lines(other, "1\n2\n"));
  }
  CHECK(lines("", ""));
  CHECK(lines("\n\n", ""));
  CHECK_FALSE(lines("x", ""));
  CHECK_FALSE(lines(std::string("1\n2\0\n", 5), "1\n2\n"));
}

TEST_CASE("compare_output: a tolerance is for decimal numbers that the test writes as such") {
  CHECK(near("0.3333334\n", "0.3333333\n"));
  CHECK(near("1e-7", "0.0"));
  CHECK(near("1234567.9", "1234567.0"));
  CHECK(near("x = 1.0000001, ok", "x = 1.0000001, ok"));
  CHECK(near("2", "2.0"));
  CHECK_FALSE(near("0.3334", "0.3333"));
  CHECK_FALSE(near("3.0", "3"));
  CHECK_FALSE(near("3.0000001", "3"));
  CHECK_FALSE(near("nan", "1.0"));
  CHECK_FALSE(near("inf", "1e300"));
  CHECK_FALSE(near("0x1p0", "1.0"));
  CHECK_FALSE(near("1.0 1.0", "1.0"));
  CHECK_FALSE(near("1.0", "1.0 1.0"));
  CHECK_FALSE(near("1.0\n2.0", "1.0 2.0"));
  CHECK_FALSE(near(".", "1.0"));
  CHECK_FALSE(near("1e", "1.0"));
  CHECK_FALSE(lines("0.33333330", "0.3333333"));
}

TEST_CASE("compare_output: tokens and bytes") {
  const auto tokens = [](const char* output, const char* expected) {
    return !difference_of(output, expected, OutputComparison::tokens, std::nullopt);
  };
  CHECK(tokens(" 1 2\n\n3", "1\n2 3\n"));
  CHECK_FALSE(tokens("1 2", "1 2 3"));
  CHECK_FALSE(tokens("12 3", "1 2 3"));
  const auto exact = [](const char* output, const char* expected) {
    return !difference_of(output, expected, OutputComparison::exact, std::nullopt);
  };
  CHECK(exact("1\n", "1\n"));
  CHECK_FALSE(exact("1", "1\n"));
}

TEST_CASE("compare_output: the reason names the line") {
  const auto reason = difference_of("1\n3\n", "1\n2\n", OutputComparison::lines, std::nullopt);
  REQUIRE(reason);
  CHECK(*reason == "line 2: '3', not '2'");
}
