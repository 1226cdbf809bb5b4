// Advantages, KL and the clipped objective against verl's numbers in float64.
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "grpo/advantage.h"
#include "grpo/loss.h"
#include "tests/support/catch.h"
#include "tests/support/shared.h"

using namespace temper;

namespace {

constexpr double kTolerance = 1e-9;

using Rows = std::vector<std::vector<double>>;

std::vector<double> row_of(const JsonValue& json) {
  std::vector<double> out;
  for (const JsonValue& x : json.GetArray()) out.push_back(x.GetDouble());
  return out;
}
Rows rows_of(const JsonValue& json) {
  Rows out;
  for (const JsonValue& row : json.GetArray()) out.push_back(row_of(row));
  return out;
}

bool near(double got, double want) {
  return std::abs(got - want) <= kTolerance * std::max(1.0, std::abs(want));
}
void check_rows(const Rows& got, const Rows& want) {
  REQUIRE(got.size() == want.size());
  for (size_t s = 0; s < got.size(); ++s) {
    REQUIRE(got[s].size() == want[s].size());
    for (size_t t = 0; t < got[s].size(); ++t) {
      INFO("sequence " << s << ", token " << t << ": " << got[s][t] << ", not " << want[s][t]);
      REQUIRE(near(got[s][t], want[s][t]));
    }
  }
}

// What the file says of one batch of sequences.
struct Batch {
  explicit Batch(const JsonValue& j)
      : json(j),
        policy(rows_of(j["policy"])),
        old(rows_of(j["old"])),
        reference(rows_of(j["reference"])) {
    std::map<int, std::vector<double>> groups;
    for (size_t s = 0; s < policy.size(); ++s) {
      const auto place = static_cast<rapidjson::SizeType>(s);
      groups[j["group"][place].GetInt()].push_back(j["reward"][place].GetDouble());
    }
    std::map<int, size_t> used;
    for (size_t s = 0; s < policy.size(); ++s) {
      const int group = j["group"][static_cast<rapidjson::SizeType>(s)].GetInt();
      advantages.push_back(group_advantages(groups[group])[used[group]++]);
      tokens += static_cast<double>(policy[s].size());
    }
  }
  const JsonValue& json;
  Rows policy, old, reference;
  std::vector<double> advantages;
  double tokens = 0.0;
};

template <class Body>
void for_each_batch(Body&& body) {
  const auto path = test::golden_dir() / "objectives.json";
  if (!test::present(path)) return;
  const Json json = parse_json(read_file(path), path.string());
  REQUIRE(json["batches"].Size() > 0);
  for (const JsonValue& batch : json["batches"].GetArray()) body(Batch(batch));
}

}  // namespace

TEST_CASE("golden: group-normalised advantages") {
  for_each_batch([](const Batch& b) {
    const JsonValue& want = b.json["advantages"]["grpo"];
    for (size_t s = 0; s < b.advantages.size(); ++s) {
      // The file has one number a sequence, or the same number for each of its tokens.
      const JsonValue& entry = want[static_cast<rapidjson::SizeType>(s)];
      INFO("sequence " << s);
      REQUIRE(near(b.advantages[s], entry.IsArray() ? entry[0].GetDouble() : entry.GetDouble()));
    }
  });
}

TEST_CASE("golden: the k3 estimate of the KL to the reference") {
  for_each_batch([](const Batch& b) {
    Rows k3;
    // The sum of one token is that token's; advantage 0 leaves the KL term alone in the loss.
    for (size_t s = 0; s < b.policy.size(); ++s) {
      std::vector<double>& row = k3.emplace_back();
      for (size_t t = 0; t < b.policy[s].size(); ++t) {
        double derivative = 0.0;
        const GrpoTokenSums sums = grpo_sequence_loss(
            {&derivative, 1},
            {{&b.policy[s][t], 1}, {&b.old[s][t], 1}, {&b.reference[s][t], 1}, 0.0}, 1.0,
            {.kl_coef = 0.5});
        REQUIRE(near(sums.loss, 0.5 * sums.kl));
        row.push_back(sums.kl);
      }
    }
    check_rows(k3, rows_of(b.json["kl"]["k3"]));
  });
}

TEST_CASE("golden: the clipped objective, its statistics and its gradient") {
  int compared = 0;
  for_each_batch([&](const Batch& b) {
    const double n = static_cast<double>(b.policy.size());
    for (const JsonValue& o : b.json["objectives"].GetArray()) {
      const std::string aggregation = o["aggregation"].GetString();
      const bool mean = aggregation == "seq-mean-token-mean";
      if (std::string(o["kind"].GetString()) != "vanilla" || !o["importance"].IsNull()) continue;
      if (!mean && aggregation != "seq-mean-token-sum") continue;
      GrpoLossParams params;
      params.clip_low = o["clip_low"].GetDouble();
      params.clip_high = o["clip_high"].GetDouble();
      params.dual_clip = o["dual_clip"].IsNull() ? 0.0 : o["dual_clip"].GetDouble();
      INFO(aggregation << ", clip " << params.clip_low << " " << params.clip_high << ", dual "
                       << params.dual_clip);
      GrpoTokenSums all;
      Rows gradient;
      for (size_t s = 0; s < b.policy.size(); ++s) {
        std::vector<double>& row = gradient.emplace_back(b.policy[s].size());
        // verl divides by tokens + 1e-8: past 1e-9 for a completion of one or two tokens.
        const double weight = 1.0 / (n * (mean ? static_cast<double>(row.size()) + 1e-8 : 1.0));
        const GrpoTokenSums sums =
            grpo_sequence_loss(row, {b.policy[s], b.old[s], {}, b.advantages[s]}, weight, params);
        all.loss += sums.loss;
        all.clipped_low += sums.clipped_low;
        all.clipped_high += sums.clipped_high;
        all.old_minus_policy += sums.old_minus_policy;
      }
      CHECK(near(all.loss, o["loss"].GetDouble()));
      CHECK(near((all.clipped_low + all.clipped_high) / b.tokens, o["clip_fraction"].GetDouble()));
      CHECK(near(all.old_minus_policy / b.tokens, o["mean_old_minus_policy"].GetDouble()));
      check_rows(gradient, rows_of(o["d_loss_d_policy"]));
      ++compared;
    }
  });
  if (std::filesystem::exists(test::golden_dir() / "objectives.json")) CHECK(compared > 0);
}
