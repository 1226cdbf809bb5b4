// Advantages, KL estimators, importance weights and policy objectives against verl's numbers in
// float64: everything that objectives.json has, and nothing of it may be unknown.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "grpo/advantage.h"
#include "grpo/aggregation.h"
#include "grpo/loss.h"
#include "tests/support/catch.h"
#include "tests/support/shared.h"

using namespace temper;

namespace {

constexpr double kTolerance = 1e-9;

using Rows = std::vector<std::vector<double>>;

rapidjson::SizeType place(size_t i) {
  return static_cast<rapidjson::SizeType>(i);
}
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

// What `name` stands for; a name that the file has and this list has not fails the test.
template <class T>
T known(const std::map<std::string, T>& list, const std::string& name) {
  INFO("'" << name << "' is not known here");
  REQUIRE(list.count(name) == 1);
  return list.at(name);
}

const std::map<std::string, AdvantageKind> kAdvantages = {
    {"grpo", AdvantageKind::group_std},
    {"grpo_mean_only", AdvantageKind::group_mean},
    {"grpo_batch_std", AdvantageKind::batch_std},
    {"rloo", AdvantageKind::rloo},
    {"reinforce_pp_baseline", AdvantageKind::reinforce_pp},
};
const std::map<std::string, KlEstimator> kEstimators = {
    {"k1", KlEstimator::k1}, {"k2", KlEstimator::k2}, {"k3", KlEstimator::k3}};
const std::map<std::string, PolicyObjective> kObjectives = {
    {"vanilla", PolicyObjective::clipped},
    {"gspo", PolicyObjective::gspo},
    {"cispo", PolicyObjective::cispo},
};
const std::map<std::string, Aggregation> kAggregations = {
    {"token-mean", Aggregation::token_mean},
    {"seq-mean-token-mean", Aggregation::sequence_mean},
    {"seq-mean-token-sum", Aggregation::constant},
    {"seq-mean-token-sum-norm", Aggregation::constant},
};

// "token_cap_2.0", "sequence_cap_1.5": kind and cap.
CorrectionParams correction_of(const std::string& name) {
  const size_t at = name.rfind("_cap_");
  INFO("importance '" << name << "' is not known here");
  REQUIRE(at != std::string::npos);
  const CorrectionKind kind = known<CorrectionKind>(
      {{"token", CorrectionKind::token}, {"sequence", CorrectionKind::sequence}},
      name.substr(0, at));
  return {kind, std::stod(name.substr(at + 5)), 0.0};
}

// What the file says of one batch of sequences.
struct Batch {
  explicit Batch(const JsonValue& j)
      : json(j),
        policy(rows_of(j["policy"])),
        old(rows_of(j["old"])),
        reference(rows_of(j["reference"])),
        rollout(rows_of(j["rollout"])) {
    for (size_t s = 0; s < policy.size(); ++s) {
      const auto length = static_cast<int64_t>(policy[s].size());
      REQUIRE(j["lengths"][place(s)].GetInt64() == length);
      compared.push_back(
          {j["group"][place(s)].GetInt64(), j["reward"][place(s)].GetDouble(), length});
      sequences.push_back({compared.back().group, length});
      tokens += static_cast<double>(length);
    }
  }
  const JsonValue& json;
  Rows policy, old, reference, rollout;
  std::vector<ComparedSample> compared;
  std::vector<LossSequence> sequences;
  double tokens = 0.0;
};

// TEMPER_GOLDEN may name a file of objectives itself.
std::filesystem::path objectives_file() {
  const char* named = std::getenv("TEMPER_GOLDEN");
  if (named != nullptr)
    for (const std::filesystem::path& file :
         {std::filesystem::path(test::source_dir()) / named, std::filesystem::path(named)})
      if (std::filesystem::is_regular_file(file)) return file;
  return test::golden_dir() / "objectives.json";
}

template <class Body>
void for_each_batch(Body&& body) {
  const auto path = objectives_file();
  if (!test::present(path)) return;
  const Json json = parse_json(read_file(path), path.string());
  REQUIRE(json["batches"].Size() > 0);
  for (const JsonValue& batch : json["batches"].GetArray()) body(Batch(batch));
}

double number_or(const JsonValue& json, double otherwise) {
  return json.IsNull() ? otherwise : json.GetDouble();
}

// The weights of an objective; verl divides by tokens + 1e-8 where it means over a sequence, which
// is past 1e-9 for a completion of a few tokens, so that is put in here.
std::vector<double> weights_of(const Batch& b, const JsonValue& o) {
  const std::string name = o["aggregation"].GetString();
  std::vector<double> weights =
      sequence_weights(known(kAggregations, name), b.sequences, number_or(o["constant"], 1.0));
  if (name == "seq-mean-token-mean")
    for (size_t s = 0; s < weights.size(); ++s) {
      const double length = static_cast<double>(b.sequences[s].tokens);
      weights[s] *= length / (length + 1e-8);
    }
  return weights;
}

GrpoLossParams params_of(const JsonValue& o) {
  for (const auto& member : o.GetObject())
    known<int>({{"kind", 0},
                {"advantage", 0},
                {"clip_low", 0},
                {"clip_high", 0},
                {"dual_clip", 0},
                {"aggregation", 0},
                {"constant", 0},
                {"importance", 0},
                {"loss", 0},
                {"clip_fraction", 0},
                {"mean_old_minus_policy", 0},
                {"d_loss_d_policy", 0}},
               member.name.GetString());
  GrpoLossParams p;
  p.objective = known(kObjectives, o["kind"].GetString());
  p.clip.low = o["clip_low"].GetDouble();
  p.clip.high = o["clip_high"].GetDouble();
  p.clip.dual = number_or(o["dual_clip"], 0.0);
  if (!o["importance"].IsNull()) p.correction = correction_of(o["importance"].GetString());
  return p;
}

void check_objective(const Batch& b, const JsonValue& o) {
  const GrpoLossParams params = params_of(o);
  const std::vector<double> weights = weights_of(b, o);
  const std::vector<double> advantages =
      batch_advantages(known(kAdvantages, o["advantage"].GetString()), b.compared);
  INFO(o["kind"].GetString() << " " << o["aggregation"].GetString() << ", clip " << params.clip.low
                             << " " << params.clip.high << ", dual " << params.clip.dual);
  GrpoTokenSums all;
  Rows gradient;
  for (size_t s = 0; s < b.policy.size(); ++s) {
    std::vector<double>& row = gradient.emplace_back(b.policy[s].size());
    GrpoSequence sequence{.logprob = b.policy[s], .old = b.old[s]};
    sequence.advantage = advantages[s];
    sequence.rollout = b.rollout[s];
    all += grpo_sequence_loss({row}, sequence, weights[s], params);
  }
  CHECK(near(all.loss, o["loss"].GetDouble()));
  CHECK(near((all.clipped_low + all.clipped_high) / b.tokens, o["clip_fraction"].GetDouble()));
  CHECK(near(all.old_minus_policy / b.tokens, o["mean_old_minus_policy"].GetDouble()));
  check_rows(gradient, rows_of(o["d_loss_d_policy"]));
}

}  // namespace

TEST_CASE("golden: a batch has nothing that is not compared") {
  for_each_batch([](const Batch& b) {
    for (const auto& member : b.json.GetObject())
      known<int>({{"group", 0},
                  {"lengths", 0},
                  {"reward", 0},
                  {"old", 0},
                  {"policy", 0},
                  {"reference", 0},
                  {"rollout", 0},
                  {"advantages", 0},
                  {"kl", 0},
                  {"importance", 0},
                  {"objectives", 0}},
                 member.name.GetString());
  });
}

TEST_CASE("golden: advantages of every kind") {
  for_each_batch([](const Batch& b) {
    for (const auto& member : b.json["advantages"].GetObject()) {
      const std::string name = member.name.GetString();
      const std::vector<double> got = batch_advantages(known(kAdvantages, name), b.compared);
      for (size_t s = 0; s < got.size(); ++s) {
        // The file has one number a sequence, or the same number for each of its tokens.
        const JsonValue& want = member.value[place(s)];
        INFO(name << ", sequence " << s);
        if (!want.IsArray()) REQUIRE(near(got[s], want.GetDouble()));
        if (want.IsArray())
          for (const double x : row_of(want)) REQUIRE(near(got[s], x));
      }
    }
  });
}

TEST_CASE("golden: estimates of the KL to the reference") {
  for_each_batch([](const Batch& b) {
    for (const auto& member : b.json["kl"].GetObject()) {
      INFO(member.name.GetString());
      const KlEstimator estimator = known(kEstimators, member.name.GetString());
      Rows got;
      for (size_t s = 0; s < b.policy.size(); ++s) {
        std::vector<double>& row = got.emplace_back();
        for (size_t t = 0; t < b.policy[s].size(); ++t)
          row.push_back(kl_term(estimator, b.policy[s][t], b.reference[s][t]).value);
      }
      check_rows(got, rows_of(member.value));
    }
  });
}

TEST_CASE("golden: importance weights of the generator's samples") {
  for_each_batch([](const Batch& b) {
    for (const auto& member : b.json["importance"].GetObject()) {
      INFO(member.name.GetString());
      const CorrectionParams params = correction_of(member.name.GetString());
      Rows got;
      for (size_t s = 0; s < b.old.size(); ++s)
        got.push_back(rollout_weights(params, b.old[s], b.rollout[s]));
      check_rows(got, rows_of(member.value));
    }
  });
}

TEST_CASE("golden: every policy objective, its statistics and its gradient") {
  for_each_batch([&](const Batch& b) {
    REQUIRE(b.json["objectives"].Size() > 0);
    for (const JsonValue& o : b.json["objectives"].GetArray()) check_objective(b, o);
  });
}
