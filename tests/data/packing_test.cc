#include "data/packing.h"

#include <algorithm>

#include "tests/support/catch.h"

using namespace temper;

TEST_CASE("best-fit packing fills the fullest bin that has room") {
  const std::vector<int64_t> lengths{5, 9, 1, 4, 12, 6};
  const auto bins = pack_best_fit(lengths, 10);
  REQUIRE(bins == std::vector<std::vector<size_t>>{{4}, {1, 2}, {3, 5}, {0}});
  REQUIRE(pack_best_fit({}, 10).empty());
}

TEST_CASE("an epoch's order is a permutation that its seed and number decide") {
  const auto a = shuffled_order(100, 7, 0);
  REQUIRE(a == shuffled_order(100, 7, 0));
  REQUIRE(a != shuffled_order(100, 7, 1));
  REQUIRE(a != shuffled_order(100, 8, 0));
  auto sorted = a;
  std::sort(sorted.begin(), sorted.end());
  for (int64_t i = 0; i < 100; ++i) REQUIRE(sorted[static_cast<size_t>(i)] == i);
}
