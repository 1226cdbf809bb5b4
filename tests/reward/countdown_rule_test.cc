#include "reward/rules/countdown.h"

#include "core/json.h"
#include "data/tasks/countdown.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

Verdict judge(const std::string& completion, const std::string& row) {
  const Json json = parse_json(row, "row");
  const auto rule = builtin_rules().make("countdown", {}, "test");
  return rule->score({.completion = completion, .row = &json});
}
Verdict judge_answer(const std::string& expression, const std::string& row) {
  return judge("<think>x</think><answer>" + expression + "</answer>", row);
}

const std::string kRow = R"({"numbers":[3,7,2],"target":20})";

}  // namespace

TEST_CASE("countdown accepts any exact expression over all numbers") {
  for (const char* e :
       {"(3+7)*2", "2*(7+3)", "2 * ( 3 + 7 )", "(3+7)\xC3\x97 2", "((3)+7)*(2)", "\n(3+7)*2 "}) {
    INFO(e);
    CHECK(judge_answer(e, kRow).value == 1.0);
  }
  CHECK(judge_answer("8/(3-8/3)", R"({"numbers":[8,8,3,3],"target":24})").value == 1.0);
}

TEST_CASE("countdown rejects every trick") {
  for (const char* e : {"(3+7)*2=20",
                        "20",
                        "3+7*2",
                        "(3+7)",
                        "(3+7)*2*1",
                        "(3+7)*2+3-3",
                        "(3+7)*2+0",
                        "10*2",
                        "37-2",
                        "(3+7)2",
                        "3 7 2",
                        "(3+7)**2",
                        "(3+7)*2;",
                        "(3+7)*2 is it",
                        "--(3+7)*2",
                        "-(-3-7)*2",
                        "(3+7)*2)",
                        "((3+7)*2",
                        "",
                        "()",
                        "3+7*2/0",
                        "1e1*2",
                        "0x14",
                        "3.0+7*2",
                        "(3+7)^2",
                        "\\boxed{(3+7)*2}",
                        "(3+7)*2\n(3+7)*2"}) {
    INFO(e);
    const Verdict verdict = judge_answer(e, kRow);
    CHECK(verdict.value == 0.0);
    CHECK(verdict.status == VerdictStatus::wrong);
    CHECK(!verdict.reason.empty());
  }
}

TEST_CASE("countdown wants one answer in the final part") {
  CHECK(judge("(3+7)*2", kRow).status == VerdictStatus::no_answer);
  CHECK(judge("", kRow).status == VerdictStatus::no_answer);
  CHECK(judge("<answer>(3+7)*2", kRow).status == VerdictStatus::no_answer);
  CHECK(judge("<answer>1</answer><answer>(3+7)*2</answer>", kRow).status ==
        VerdictStatus::no_answer);
  // An answer inside the thinking is not the final one.
  CHECK(judge("<answer>(3+7)*2</answer></think>", kRow).status == VerdictStatus::no_answer);
  CHECK(judge("<think><answer>1</answer></think><answer>(3+7)*2</answer>", kRow).value == 1.0);
}

TEST_CASE("countdown uses each number as the row says") {
  const std::string at_most = R"({"numbers":[3,7,2],"target":10,"use":"at_most"})";
  CHECK(judge_answer("3+7", at_most).value == 1.0);
  CHECK(judge_answer("3+7", R"({"numbers":[3,7,2],"target":10})").value == 0.0);
  CHECK(judge_answer("3+3+2+2", at_most).value == 0.0);
}

TEST_CASE("countdown cannot judge a row that lacks its fields") {
  for (const char* row : {R"({})", R"({"numbers":[3,7]})", R"({"numbers":[],"target":1})",
                          R"({"numbers":[3.5],"target":1})", R"({"numbers":"3","target":1})",
                          R"({"numbers":[3],"target":3,"use":"some"})"}) {
    INFO(row);
    CHECK(judge_answer("3", row).status == VerdictStatus::bad_gold);
  }
  const auto rule = builtin_rules().make("countdown", {}, "test");
  CHECK(rule->score({.completion = "<answer>3</answer>"}).status == VerdictStatus::bad_gold);
}

TEST_CASE("countdown is bounded on huge input") {
  const std::string deep(200000, '(');
  CHECK(judge_answer(deep, kRow).value == 0.0);
  CHECK(judge_answer("3" + std::string(400, '9'), kRow).value == 0.0);
  std::string reason;
  CHECK(!evaluate_countdown(std::string(500, '('), reason));
}

TEST_CASE("every generated solution and solved demonstration is accepted") {
  const CountdownOptions options;
  const DemonstrationOptions solved{.solved = 1.0};
  const DemonstrationOptions failed{.solved = 0.0};
  for (uint32_t i = 0; i < 300; ++i) {
    const CountdownProblem p = make_countdown(2, i, TaskSplit::test, options);
    const std::string row = countdown_row(p, PromptStyle::compact, "");
    CHECK(judge_answer(p.solution.text(), row).value == 1.0);
    CHECK(judge(countdown_demonstration(p, 2, i, options, solved), row).value == 1.0);
    CHECK(judge(countdown_demonstration(p, 2, i, options, failed), row).value == 0.0);
  }
}
