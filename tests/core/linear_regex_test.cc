#include "core/linear_regex.h"

#include <chrono>

#include "core/error.h"
#include "tests/support/catch.h"

using namespace temper;

TEST_CASE("a linear regular expression finds groups, all matches and whole matches") {
  const LinearRegex number(R"((-)?(\d+))", "test");
  const auto groups = number.search("a 12 b -7");
  REQUIRE(groups.size() == 3);
  CHECK(*groups[0] == "12");
  CHECK(!groups[1]);
  CHECK(*groups[2] == "12");
  const auto all = number.search_all("a 12 b -7");
  REQUIRE(all.size() == 2);
  CHECK(*all[1][1] == "-");
  CHECK(number.search("none").empty());
  CHECK(number.matches("-7"));
  CHECK(!number.matches("-7 "));
  CHECK(LinearRegex("x*", "test").search_all("axxb").size() == 4);
  CHECK(LinearRegex("STRASSE", "test", true).matches("strasse"));
}

TEST_CASE("a linear regular expression has no pattern that hangs it") {
  const std::string text(200000, 'a');
  const auto start = std::chrono::steady_clock::now();
  CHECK(LinearRegex("(a*)*b", "test").search(text).empty());
  CHECK(LinearRegex("a.*a.*a.*b", "test").search(text).empty());
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  CHECK(took.count() < 5.0);
}

TEST_CASE("a pattern that does not compile names where it stands") {
  for (const char* pattern : {"(", "a{5000}", "(?=a)", "(a)\\1"}) {
    INFO(pattern);
    CHECK_THROWS_AS(LinearRegex(pattern, "run.toml:3"), UserError);
  }
}
