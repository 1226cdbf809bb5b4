// Advantages of every kind by hand.
#include "grpo/advantage.h"

#include <cmath>

#include "core/error.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

void check_all(const std::vector<double>& got, const std::vector<double>& want) {
  REQUIRE(got.size() == want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    INFO("entry " << i);
    CHECK(got[i] == Approx(want[i]).epsilon(1e-12).margin(1e-14));
  }
}

// Two groups of two tokens-weighted samples: rewards 1, 0 and 3, 1.
const std::vector<ComparedSample> kBatch = {{7, 1.0, 2}, {7, 0.0, 4}, {9, 3.0, 1}, {9, 1.0, 3}};

}  // namespace

TEST_CASE("advantages: group mean and standard deviation, by hand") {
  const std::vector<double> rewards{1.0, 0.0, 0.0, 0.0};  // mean 1/4, std sqrt(3/4 / 3) = 1/2
  check_all(group_advantages(rewards),
            {0.75 / 0.500001, -0.25 / 0.500001, -0.25 / 0.500001, -0.25 / 0.500001});
  check_all(centred_rewards(rewards), {0.75, -0.25, -0.25, -0.25});
  CHECK_FALSE(is_zero_signal(rewards));
}

TEST_CASE("advantages: a group without signal gets exactly 0, whatever its mean rounds to") {
  for (const std::vector<double>& flat :
       {std::vector<double>{0.1, 0.1, 0.1}, {0.0}, {-1.0, -1.0}}) {
    CHECK(is_zero_signal(flat));
    for (const auto& a :
         {group_advantages(flat), centred_rewards(flat), leave_one_out_advantages(flat)})
      for (double x : a) CHECK(x == 0.0);
  }
}

TEST_CASE("advantages: leaving one out compares with the mean of the others") {
  check_all(leave_one_out_advantages(std::vector<double>{1.0, 0.0, 0.5}),
            {1.0 - 0.25, 0.0 - 0.75, 0.5 - 0.5});
}

TEST_CASE("advantages: the batch's standard deviation is over all rewards") {
  // Rewards 1 0 3 1: mean 5/4, squares 1/16 + 25/16 + 49/16 + 1/16 = 76/16, over 3.
  const double std = std::sqrt(76.0 / 48.0) + 1e-6;
  check_all(batch_advantages(AdvantageKind::batch_std, kBatch),
            {0.5 / std, -0.5 / std, 1.0 / std, -1.0 / std});
  CHECK(sample_std(std::vector<double>{1.0, 3.0}) == Approx(std::sqrt(2.0)));
  CHECK(sample_std(std::vector<double>{5.0}) == 0.0);
}

TEST_CASE("advantages: REINFORCE++ whitens over tokens") {
  // Centred 0.5 -0.5 1 -1 at 2 4 1 3 tokens: mean (1 - 2 + 1 - 3) / 10 = -0.3.
  const double mean = -0.3;
  const double squares = 2 * 0.8 * 0.8 + 4 * 0.2 * 0.2 + 1.3 * 1.3 + 3 * 0.7 * 0.7;
  const double std = std::sqrt(squares / 9.0 + 1e-8);
  check_all(batch_advantages(AdvantageKind::reinforce_pp, kBatch),
            {(0.5 - mean) / std, (-0.5 - mean) / std, (1 - mean) / std, (-1 - mean) / std});
}

TEST_CASE("advantages: members of a group need not stand side by side") {
  std::vector<ComparedSample> mixed{kBatch[2], kBatch[0], kBatch[3], kBatch[1]};
  for (const AdvantageKind kind : {AdvantageKind::group_std, AdvantageKind::group_mean,
                                   AdvantageKind::rloo, AdvantageKind::batch_std}) {
    const std::vector<double> a = batch_advantages(kind, kBatch), b = batch_advantages(kind, mixed);
    check_all(b, {a[2], a[0], a[3], a[1]});
  }
}

TEST_CASE("advantages: process rewards add up over the steps still to come") {
  // Steps end at tokens 1 and 3, and at token 2. R = {1, 0, 0.5}: mean 0.5, std 0.5.
  const std::vector<StepRewards> group{{{1, 3}, {1.0, 0.0}, 5}, {{2}, {0.5}, 3}};
  const auto a = process_advantages(group);
  const double up = 0.5 / 0.500001;
  REQUIRE(a.size() == 2);
  check_all(a[0], {up - up, up - up, -up, -up, 0.0});  // behind the last step: nothing
  check_all(a[1], {0.0, 0.0, 0.0});
  for (const auto& row :
       process_advantages(std::vector<StepRewards>{{{0}, {1.0}, 1}, {{0}, {1.0}, 1}}))
    check_all(row, {0.0});
  CHECK_THROWS_AS(process_advantages(std::vector<StepRewards>{{{0, 1}, {1.0}, 2}}), ContractError);
}
