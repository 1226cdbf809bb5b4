#include "reward/rules/format.h"

#include "tests/support/catch.h"

using namespace temper;

namespace {

Verdict judge(const std::string& completion, const std::map<std::string, std::string>& parameters,
              const std::string& prompt = "") {
  const auto rule = builtin_rules().make("format", parameters, "test");
  return rule->score({.prompt = prompt, .completion = completion});
}

}  // namespace

TEST_CASE("format accepts R1's form") {
  for (const char* text : {"<think>a</think><answer>b</answer>",
                           "\n<think>\na\n</think>\n\n<answer>\nb\n</answer>\n"}) {
    CHECK(judge(text, {}).value == 1.0);
  }
}

TEST_CASE("format rejects every near miss with a reason") {
  for (const char* text : {"",
                           "a",
                           "<think></think><answer>b</answer>",
                           "<think> \n</think><answer>b</answer>",
                           "<think>a</think><answer></answer>",
                           "<think>\xE2\x80\x8B</think><answer>b</answer>",
                           "<think>a</think><answer>b</answer>c",
                           "c<think>a</think><answer>b</answer>",
                           "<think>a</think>c<answer>b</answer>",
                           "<answer>b</answer><think>a</think>",
                           "<think>a<answer>b</answer></think>",
                           "<think>a</think><answer>b",
                           "<think>a</think></answer>b<answer>",
                           "<think><think>a</think><answer>b</answer>",
                           "<think>a</think><think>a</think><answer>b</answer>",
                           "<answer><think>a</think>b</answer>",
                           "<think>a</think><answer>b</answer><answer>b</answer>",
                           "a</think><answer>b</answer>",
                           "<THINK>a</THINK><answer>b</answer>",
                           "<think>a</think><answer>b</answer>\nmore"}) {
    INFO(text);
    const Verdict verdict = judge(text, {});
    CHECK(verdict.value == 0.0);
    CHECK(verdict.status == VerdictStatus::wrong);
    CHECK(!verdict.reason.empty());
  }
}

TEST_CASE("format knows when the prompt opened the thinking") {
  const std::string opened = "user: hi\nassistant: <think>\n";
  CHECK(judge("a</think><answer>b</answer>", {}, opened).value == 1.0);
  CHECK(judge("<think>a</think><answer>b</answer>", {}, opened).value == 0.0);
  CHECK(judge("<think>a</think><answer>b</answer>", {{"opened", "no"}}, opened).value == 1.0);
  CHECK(judge("a</think><answer>b</answer>", {{"opened", "yes"}}).value == 1.0);
}

TEST_CASE("format without answer tags wants text after the thinking") {
  const std::map<std::string, std::string> think = {{"variant", "r1"}};
  CHECK(judge("<think>a</think>b", think).value == 1.0);
  CHECK(judge("<think>a</think> \n", think).value == 0.0);
  CHECK(judge("<think></think>b", think).value == 0.0);
}
