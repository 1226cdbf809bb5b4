#include "core/gpu_architectures.h"

#include "tests/support/catch.h"

using temper::has_hopper_code;
using temper::runs_on;

TEST_CASE("a build's kernels run on the cards that its architectures name") {
  for (const char* both : {"80-real 90a-real", "90a-real  80-real "}) {
    CHECK(runs_on(both, 8, 0));
    CHECK(runs_on(both, 8, 9));
    CHECK(runs_on(both, 9, 0));
    CHECK_FALSE(runs_on(both, 7, 5));
    CHECK_FALSE(runs_on(both, 10, 0));
    CHECK_FALSE(runs_on(both, 12, 0));
  }
  CHECK_FALSE(runs_on("86-real", 8, 0));
  CHECK(runs_on("86-real", 8, 9));
  CHECK(runs_on("80", 12, 0));
  CHECK(runs_on("80-virtual", 9, 0));
  CHECK_FALSE(runs_on("80-virtual", 7, 5));
  CHECK_FALSE(runs_on("90a", 10, 0));
  CHECK(runs_on("native", 10, 0));
  CHECK_FALSE(runs_on("", 9, 0));
}

TEST_CASE("a build's kernels for Hopper are those for 9.0 alone") {
  CHECK(has_hopper_code("80-real 90a-real"));
  CHECK(has_hopper_code("90a"));
  CHECK_FALSE(has_hopper_code("80"));
  CHECK_FALSE(has_hopper_code("80-real 90-real"));
  CHECK_FALSE(has_hopper_code(""));
}
