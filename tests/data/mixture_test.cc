#include "data/mixture.h"

#include <algorithm>
#include <map>

#include "core/error.h"
#include "data/packing.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

TEST_CASE("files have weights behind a colon, all of them or none") {
  const auto files = parse_weighted_files({"a.jsonl:0.7", "b.jsonl:3"}, "--data");
  CHECK(files[0].path == "a.jsonl");
  CHECK(files[0].weight == 0.7);
  CHECK(files[1].weight == 3.0);
  CHECK(parse_weighted_files({"a.jsonl"}, "--data")[0].weight == 0.0);
  CHECK(parse_weighted_files({"C:x"}, "--data")[0].path == "C:x");
  CHECK_THROWS_AS(parse_weighted_files({"a.jsonl:0"}, "--data"), UserError);
  CHECK_THROWS_AS(parse_weighted_files({"a.jsonl:-1"}, "--data"), UserError);
  CHECK_THROWS_AS(parse_weighted_files({"a.jsonl:1", "b.jsonl"}, "--data"), UserError);
  const TemporaryFolder folder;
  const std::string odd = folder.write("a:1", "{}");
  CHECK(parse_weighted_files({odd}, "--data")[0].path == odd);
}

TEST_CASE("without weights an epoch is a permutation of all samples") {
  const Mixture mixture({{5, 0.0}, {7, 0.0}}, 3);
  CHECK(mixture.size() == 12);
  CHECK(mixture.epoch(2) == shuffled_order(12, 3, 2));
}

TEST_CASE("with weights an epoch is shared out, and each part goes on where it was") {
  const Mixture mixture({{10, 0.75}, {90, 0.25}}, 3);
  CHECK(mixture.size() == 100);
  CHECK(mixture.shares() == std::vector<int64_t>{75, 25});
  std::map<int64_t, int64_t> first_part, second_part;
  for (int64_t e = 0; e < 4; ++e) {
    const std::vector<int64_t> order = mixture.epoch(e);
    CHECK(order == Mixture({{10, 0.75}, {90, 0.25}}, 3).epoch(e));
    CHECK(std::count_if(order.begin(), order.end(), [](int64_t i) { return i < 10; }) == 75);
    for (const int64_t i : order) ++(i < 10 ? first_part : second_part)[i];
  }
  // 300 visits of 10 samples, 100 of 90: no sample is ahead of another by more than one round.
  for (const auto& [sample, visits] : first_part) CHECK(visits == 30);
  CHECK(second_part.size() == 90);
  for (const auto& [sample, visits] : second_part) CHECK((visits == 1 || visits == 2));
  CHECK(mixture.epoch(0) != mixture.epoch(1));
  CHECK(Mixture({{1, 1.0}, {1, 1.0}, {1, 1.0}}, 1).shares() == std::vector<int64_t>{1, 1, 1});
}
