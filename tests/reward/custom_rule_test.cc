#include "reward/rules/custom.h"

#include "core/error.h"
#include "reward/composite.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

Verdict judge(const std::string& use, const std::string& completion, const std::string& gold,
              const std::string& row = "{}") {
  const RewardComponentSpec spec = parse_reward_spec("custom(" + use + ")", "t").components.at(0);
  const Json json = parse_json(row, "test");
  return builtin_rules()
      .make(spec.rule, spec.parameters, "test")
      ->score({.completion = completion, .gold = gold, .row = &json});
}

bool is_ok(const Verdict& verdict) {
  return verdict.status == VerdictStatus::ok;
}

}  // namespace

TEST_CASE("custom finds an answer by pattern, tag or JSON pointer") {
  CHECK(is_ok(judge("find=regex;pattern=\"result: (\\\\w+)\"", "result: a\nresult: b", "b")));
  CHECK(is_ok(
      judge("find=regex;pattern=\"result: (\\\\w+)\";which=first", "result: a\nresult: b", "a")));
  CHECK(judge("find=regex;pattern=\"result: (\\\\w+)\";which=only", "result: a\nresult: b", "a")
            .status == VerdictStatus::no_answer);
  CHECK(
      is_ok(judge("find=tag;tag=city", "<think><city>X</city></think><city>Rome</city>", "Rome")));
  CHECK(judge("find=tag;tag=city", "<city>Rome</city><city>Paris</city>", "Rome").status ==
        VerdictStatus::no_answer);
  CHECK(judge("find=tag;tag=city", "</city>Rome<city>", "Rome").status == VerdictStatus::no_answer);
  CHECK(is_ok(judge("find=json;pointer=/a/1", "```json\n{\"a\":[1,\"x\"]}\n```", "x")));
  CHECK(is_ok(judge("find=json;pointer=/a~1b/~0", "{\"a/b\":{\"~\":7}}", "7")));
  CHECK(judge("find=json;pointer=/a/2", "{\"a\":[1]}", "1").status == VerdictStatus::no_answer);
  CHECK(judge("find=json;pointer=/a", "so {\"a\":1}", "1").status == VerdictStatus::no_answer);
  for (const char* twice : {"{\"a\":1,\"a\":2}", "{\"a\":2,\"a\":1}", "{\"a\":1,\"\\u0061\":1}"}) {
    CHECK(judge("find=json;pointer=/a", twice, "1").status == VerdictStatus::no_answer);
  }
  CHECK(judge("find=answer", "", "1").status == VerdictStatus::no_answer);
}

TEST_CASE("custom compares numbers by tolerance, sets, and one of several") {
  CHECK(is_ok(judge("compare=number", "1,000.50", "1000.5")));
  CHECK(judge("compare=number", "1000.51", "1000.5").status == VerdictStatus::wrong);
  CHECK(is_ok(judge("compare=number;tolerance=0.02", "1000.51", "1000.5")));
  CHECK(is_ok(judge("compare=number;relative=0.01", "99", "100")));
  CHECK(judge("compare=number;relative=0.01", "98.9", "100").status == VerdictStatus::wrong);
  CHECK(judge("compare=number;tolerance=1", "nan", "100").status == VerdictStatus::wrong);
  CHECK(judge("compare=number;tolerance=1", "inf", "100").status == VerdictStatus::wrong);
  CHECK(judge("compare=number", "5", "five").status == VerdictStatus::bad_gold);
  CHECK(is_ok(judge("compare=set", "b, a", "a,b")));
  CHECK(judge("compare=set", "a, b, c", "a,b").status == VerdictStatus::wrong);
  CHECK(judge("compare=set", "a", "a,b").status == VerdictStatus::wrong);
  CHECK(
      is_ok(judge("compare=set;field=cities", "Rome,Paris", "", R"({"cities":["Paris","Rome"]})")));
  CHECK(is_ok(judge("compare=one_of;field=cities;case=ignore", "rome", "",
                    R"({"cities":["Paris","Rome"]})")));
  CHECK(judge("compare=one_of;field=cities", "Rome or Paris", "", R"({"cities":["Paris","Rome"]})")
            .status == VerdictStatus::wrong);
  CHECK(judge("compare=one_of;field=cities", "x", "", "{}").status == VerdictStatus::bad_gold);
  CHECK(judge("field=cities", "x", "", R"({"cities":["Paris","Rome"]})").status ==
        VerdictStatus::bad_gold);
}

TEST_CASE("custom refuses parameters that cannot work") {
  for (const char* use : {"find=regex", "find=tag", "find=regex;pattern=\"(\"",
                          "find=json;pointer=a", "compare=number;tolerance=-1", "separator=\"\""}) {
    INFO(use);
    CHECK_THROWS_AS(judge(use, "a", "a"), UserError);
  }
}
