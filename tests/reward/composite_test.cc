#include "reward/composite.h"

#include <stdexcept>

#include "core/error.h"
#include "reward/tally.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

// Gives a fixed verdict, or throws.
class Fixed final : public RewardRule {
 public:
  explicit Fixed(Verdict verdict) : verdict_(std::move(verdict)) {}
  Verdict score(const RewardInput& input) const override {
    if (input.completion == "throw") throw std::runtime_error("broken rule");
    return verdict_;
  }

 private:
  Verdict verdict_;
};

RewardRegistry registry_of(const std::map<std::string, Verdict>& verdicts) {
  RewardRegistry registry;
  for (const auto& [name, verdict] : verdicts) {
    const auto make = [v = verdict](const RuleParameters&) { return std::make_unique<Fixed>(v); };
    registry.add({name, "fixed", {{"size", "1", "unused", {}}}, make});
  }
  return registry;
}

RewardResult score(const std::string& spec, const RewardRegistry& registry,
                   const std::string& completion = "") {
  const CompositeReward reward(parse_reward_spec(spec, "--reward"), registry, "--reward");
  return reward.score({.completion = completion});
}

const std::map<std::string, Verdict> kVerdicts = {
    {"good", verdict_ok("a")},
    {"bad", verdict_wrong("a", "no")},
    {"odd", Verdict{2.5, VerdictStatus::ok, {}, {}, 0}},
    {"goldless", verdict_bad_gold("none")},
};

}  // namespace

TEST_CASE("a reward is the weighted sum of its components") {
  const RewardRegistry registry = registry_of(kVerdicts);
  const RewardResult result = score("good=1,odd=0.2,bad=3", registry);
  CHECK(result.value == Approx(1.5));
  CHECK(result.judged);
  REQUIRE(result.components.size() == 3);
  CHECK(result.components[1].weight == 0.2);
  CHECK(result.components[1].verdict.value == 2.5);
}

TEST_CASE("gates and clamps") {
  const RewardRegistry registry = registry_of(kVerdicts);
  CHECK(score("good=1 if bad, bad=0", registry).value == 0.0);
  CHECK(!score("good=1 if bad, bad=0", registry).components[0].counted);
  CHECK(score("good=1 if odd, odd=0", registry).value == 1.0);
  CHECK(score("good=1 unless bad, bad=0", registry).value == 1.0);
  CHECK(score("good=1 unless odd, odd=0", registry).value == 0.0);
  CHECK(score("odd=2 clamp 0..1", registry).value == 2.0);
  CHECK(score("odd=2, good=1, total clamp -1..3", registry).value == 3.0);
}

TEST_CASE("a component is asked of the rows that it is for, and of no others") {
  const CompositeReward reward(
      parse_reward_spec("format=0.5,good=1 for task=math|7,bad=2 for task=code,odd=0.1 if good",
                        "--reward"),
      registry_of({{"format", verdict_ok("f")},
                   {"good", verdict_ok("a")},
                   {"bad", verdict_wrong("a", "no")},
                   {"odd", Verdict{2.5, VerdictStatus::ok, {}, {}, 0}}}),
      "--reward");
  const auto judged = [&](const std::string& row) {
    const Json json = parse_json(row, "row");
    return reward.score({.row = &json});
  };
  const RewardResult math = judged(R"({"task":"math"})");
  CHECK(math.value == Approx(0.5 + 1.0 + 0.25));
  CHECK(math.components[2].verdict.status == VerdictStatus::not_asked);
  CHECK_FALSE(math.components[2].counted);
  CHECK(reward.is_right(math));
  CHECK(judged(R"({"task":7})").value == Approx(1.75));  // a number as it is written
  const RewardResult code = judged(R"({"task":"code"})");
  CHECK(code.value == Approx(0.5));  // the gate of odd was not asked, so it is not open
  CHECK(code.judged);
  CHECK(reward.deciding(code) == 2);
  CHECK_FALSE(reward.is_right(code));
  const RewardResult other = judged(R"({"kind":"math"})");  // odd is for every row
  CHECK(reward.deciding(other) == 3);
  CHECK(reward.deciding_names() == "good,bad,odd");
  RewardTally tally(reward);
  for (const RewardResult* result : {&math, &code, &other}) tally.add(*result);
  CHECK(tally.mean_value(1) == 1.0);
  CHECK(tally.report().find("good: 1 ok, 2 not_asked") != std::string::npos);
}

TEST_CASE("a row that no rule is for cannot be judged") {
  const CompositeReward reward(
      parse_reward_spec("format=1,good=1 for task=math,bad=1 for task=code", "--reward"),
      registry_of({{"format", verdict_ok("f")},
                   {"good", verdict_ok("a")},
                   {"bad", verdict_wrong("a", "no")}}),
      "--reward");
  const Json row = parse_json(R"({"task":"maths"})", "row");
  const RewardResult result = reward.score({.row = &row});
  CHECK_FALSE(result.judged);
  CHECK(result.components[1].verdict.status == VerdictStatus::bad_gold);
  CHECK(result.components[1].verdict.reason ==
        "no rule is for this row: good is for task, bad is for task");
  CHECK(result.components[2].verdict.status == VerdictStatus::not_asked);
  CHECK_FALSE(reward.score({}).judged);  // nor a sample without a row
}

TEST_CASE("gates that wait for each other are refused") {
  const RewardRegistry registry = registry_of(kVerdicts);
  CHECK_THROWS_AS(score("good=1 if bad, bad=1 if good", registry), UserError);
  CHECK_THROWS_AS(score("good=1 if bad, bad=1 if odd, odd=1 unless good", registry), UserError);
  CHECK_THROWS_WITH(score("good=1 if good", registry), Contains("depends on itself"));
  CHECK(score("good=1 if bad, bad=1 if odd, odd=0", registry).value == 0.0);
}

TEST_CASE("what cannot be judged never becomes a number quietly") {
  const RewardRegistry registry = registry_of(kVerdicts);
  CHECK(!score("good=1,goldless=1", registry).judged);
  const RewardResult failed = score("good=1", registry, "throw");
  CHECK(!failed.judged);
  CHECK(failed.components[0].verdict.status == VerdictStatus::error);
  CHECK(failed.components[0].verdict.reason == "broken rule");
}

TEST_CASE("a sample that could not be judged is counted") {
  const RewardRegistry registry = registry_of(kVerdicts);
  const CompositeReward reward(parse_reward_spec("good=1", "--reward"), registry, "--reward");
  ThreadPool pool(2);
  std::vector<RewardInput> inputs(6);
  inputs[4].completion = "throw";
  const auto results = score_all(pool, reward, inputs);
  RewardTally tally(reward);
  for (const RewardResult& result : results) tally.add(result);
  CHECK(tally.unjudged() == 1);
  CHECK(tally.unjudged_share() == Approx(1.0 / 6));
  CHECK(tally.report() == "good: 5 ok, 1 error\n");
}

TEST_CASE("the text form of a reward reads back as itself") {
  const std::string text =
      "math(units=any;words=\"a, b\")=1 as m if format clamp -1..0.5,format=0.2,total clamp -2..2";
  const RewardSpec spec = parse_reward_spec(text, "--reward");
  REQUIRE(spec.components.size() == 2);
  CHECK(spec.components[0].rule == "math");
  CHECK(spec.components[0].name == "m");
  CHECK(spec.components[0].gate == "format");
  CHECK(spec.components[0].parameters.at("words") == "a, b");
  CHECK(spec.components[0].clamp.low == -1.0);
  CHECK(spec.components[0].clamp.high == 0.5);
  CHECK(spec.total_clamp.high == 2.0);
  CHECK(text_of(spec) == text);
  const std::string rows = "math=1 for task=math|\"word problem\" if format,code=1 for a.b=c";
  CHECK(text_of(parse_reward_spec(rows, "--reward")) == rows);
}

TEST_CASE("the table form of a reward says the same as the text form") {
  const std::string file =
      "model = 'x'\n[rewards]\nmath = 1\n[rewards.strict]\nrule = 'format'\nweight = 0.2\n"
      "if = 'math'\nclamp = [0, 1]\nvariant = 'think'\nlimit = 3\n"
      "[rewards.total]\nclamp = [-1, 1]\n[grpo]\nsteps = 3\n";
  const RewardSpec spec = reward_spec_of_config(parse_config(file, "file.toml"), "file.toml");
  CHECK(text_of(spec) ==
        "math=1,format(limit=3;variant=think)=0.2 as strict if math clamp 0..1,total clamp -1..1");
  const std::string gated =
      "[rewards.a]\nunless = 'math'\nwords = ['x', 'y z']\nflag = true\n[rewards]\nmath = -0.5\n";
  CHECK(text_of(reward_spec_of_config(parse_config(gated, "f"), "f")) ==
        "a(flag=true;words=\"x|y z\")=1 unless math,math=-0.5");
  const std::string rows = "[rewards.math]\nfor = 'task=math|logic'\n";
  CHECK(text_of(reward_spec_of_config(parse_config(rows, "f"), "f")) ==
        "math=1 for task=math|logic");
  for (const char* bad : {"[rewards.a]\nfor = 'task'\n", "[rewards]\nmath = 'a'\n",
                          "[rewards.math]\nclamp = [1, 0]\n", "[rewards.math]\nclamp = 1\n",
                          "[rewards.a]\nif = 'b'\nunless = 'b'\n", "[rewards.a]\nwords = ['a|b']\n",
                          "[rewards.total]\nweight = 1\n"}) {
    CHECK_THROWS_AS(reward_spec_of_config(parse_config(bad, "f"), "f"), UserError);
  }
}

TEST_CASE("a reward that cannot be read says where") {
  for (const char* text :
       {"math=", "math=x", "=1", "math=1,,", "math=1 of 2", "math(a=1", "math(=1)=2",
        "math=1 for task", "math=1 for a=b for c=d", "math=1 clamp 2..1", "math=1 if a unless b",
        "math=1 clamp 2", "math=1e999", "math 1"}) {
    INFO(text);
    CHECK_THROWS_AS(parse_reward_spec(text, "--reward"), UserError);
  }
  const RewardRegistry registry = builtin_rules();
  for (const char* text : {"", "maths=1", "format(varian=r1)=1", "format(variant=r2)=1",
                           "math=1,math=2", "math=1 if format", "math=1 if math"}) {
    INFO(text);
    CHECK_THROWS_AS(CompositeReward(parse_reward_spec(text, "--reward"), registry, "--reward"),
                    UserError);
  }
  try {
    CompositeReward(parse_reward_spec("maht=1", "--reward"), registry, "--reward");
  } catch (const UserError& error) {
    CHECK(error.blame().hint == "did you mean 'math'?");
  }
}
