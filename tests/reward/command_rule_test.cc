// The rule `command`: programs that answer, answer badly, hang, crash and leave children behind.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/error.h"
#include "reward/composite.h"
#include "reward/scoring_pool.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

namespace {

using Parameters = std::map<std::string, std::string>;

std::unique_ptr<RewardRule> rule_of(const std::string& run, Parameters parameters = {}) {
  parameters["run"] = run;
  return builtin_rules().make("command", parameters, "test");
}

Verdict judge(const std::string& run, const Parameters& parameters = {}) {
  return rule_of(run, parameters)->score({.completion = "a", .gold = "b"});
}

bool has_python() {
  const bool present = std::system("python3 -c pass >/dev/null 2>&1") == 0;
  if (!present) WARN("skipped: no python3");
  return present;
}

}  // namespace

TEST_CASE("a program judges: a number, or an object with a status") {
  CHECK(judge("while read x; do echo 1; done").status == VerdictStatus::ok);
  CHECK(judge("while read x; do echo 0.25; done").value == 0.25);
  CHECK(judge("while read x; do echo 0.25; done").status == VerdictStatus::wrong);
  const Verdict verdict = judge(
      R"(while read x; do echo '{"value":2,"status":"ok","extracted":"e","reason":"r"}'; done)");
  CHECK(verdict.value == 2.0);
  CHECK(verdict.extracted == "e");
  CHECK(verdict.reason == "r");
}

TEST_CASE("a program gets the whole sample as one line of JSON") {
  const Json row = parse_json("{\"k\":[1]}", "test");
  const auto rule =
      rule_of(R"(while IFS= read -r x; do printf '{"value":1,"reason":%s}\n' "$x"; done)");
  const Verdict verdict = rule->score({.prompt = "p\n",
                                       .completion = "c\xFF",
                                       .gold = "g",
                                       .row = &row,
                                       .completion_tokens = 7,
                                       .truncated = true});
  INFO(verdict.reason);
  CHECK(verdict.reason ==
        "{\"prompt\":\"p\\n\",\"completion\":\"c\xEF\xBF\xBD\",\"gold\":\"g\",\"tokens\":7,"
        "\"truncated\":true,\"row\":{\"k\":[1]}}");
}

TEST_CASE("an answer that cannot be read is an error with the program's words, never a 0") {
  for (const char* answer :
       {"yes", "", "{}", "[1]", "{\"value\":\"1\"}", "nan", "null",
        "{\"value\":1,\"status\":\"right\"}", "{\"status\":\"ok\"}", "{\"status\":\"wrong\"}"}) {
    INFO(answer);
    const Verdict verdict =
        judge("while read x; do echo oops >&2; echo '" + std::string(answer) + "'; done");
    CHECK(verdict.status == VerdictStatus::error);
    CHECK(!verdict.reason.empty());
  }
  CHECK(judge("echo broken >&2; exit 3").reason.find("exit status 3") != std::string::npos);
  CHECK(judge("echo broken >&2; exit 3").reason.find("broken") != std::string::npos);
  CHECK(judge("kill -11 $$").reason.find("signal 11") != std::string::npos);
  CHECK(judge("no-such-program-here").status == VerdictStatus::error);
  CHECK(judge("head -c 3000000 /dev/zero | tr '\\0' a; sleep 60").status == VerdictStatus::error);
}

TEST_CASE("a program that crashes at a sample is started again for it") {
  const TemporaryFolder dir;
  const std::string mark = (dir / "crashed").string();
  const auto rule = rule_of("while read x; do if [ ! -e " + mark + " ]; then touch " + mark +
                            "; exit 1; fi; echo 1; done");
  CHECK(rule->score({.completion = "a"}).status == VerdictStatus::ok);
  CHECK(rule->score({.completion = "a"}).status == VerdictStatus::ok);
}

TEST_CASE("a program that hangs is killed with its children, and the next sample is judged") {
  const TemporaryFolder dir;
  const std::string alive = (dir / "alive").string();
  const auto rule = rule_of("while read x; do case $x in *hang*) (sleep 2; touch " + alive +
                                ") & sleep 3600;; esac; echo 1; done",
                            {{"timeout", "0.3"}, {"workers", "1"}});
  const Verdict hung = rule->score({.completion = "hang"});
  CHECK(hung.status == VerdictStatus::error);
  CHECK(hung.reason == "no answer within 0.3 s");
  CHECK(rule->score({.completion = "go"}).status == VerdictStatus::ok);
  std::this_thread::sleep_for(std::chrono::milliseconds(2500));
  CHECK_FALSE(std::filesystem::exists(alive));
  CHECK(judge("sleep 60", {{"timeout", "0.2"}, {"late", "timeout"}}).status ==
        VerdictStatus::timeout);
}

TEST_CASE("an answer too many never judges the next sample") {
  const auto rule = rule_of("while read x; do echo 1; echo 1; done", {{"workers", "1"}});
  CHECK(rule->score({.completion = "a"}).status == VerdictStatus::ok);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const Verdict next = rule->score({.completion = "a"});  // a fresh program answers it
  CHECK(next.status == VerdictStatus::ok);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(judge("echo 1; echo 1; while read x; do :; done; sleep 60", {{"timeout", "0.3"}}).status !=
        VerdictStatus::no_answer);
}

TEST_CASE("several programs work at a time, each line with its own answer") {
  const CompositeReward reward(
      parse_reward_spec("command(run=\"while read x; do n=${#x}; sleep 0.02; echo "
                        "'{\\\"value\\\":'$n'}'; done\"; workers=4)",
                        "test"),
      builtin_rules(), "test");
  ScoringPool pool(reward, {.threads = 8});
  const auto row = std::make_shared<const ScoringRow>(ScoringRow{"", "", parse_json("{}", "t")});
  for (size_t i = 0; i < 40; ++i) pool.submit({row, std::string(i, 'x'), 1, false});
  const auto results = pool.finish();
  for (size_t i = 1; i < 40; ++i)
    CHECK(results[i].value == results[0].value + static_cast<double>(i));
}

TEST_CASE("one slow sample keeps its one program for the run's time limit, and the others wait") {
  const CompositeReward reward(
      parse_reward_spec("command(run=\"while read x; do case $x in *hang*) sleep 3600;; esac; echo "
                        "1; done\"; workers=1; timeout=100)",
                        "test"),
      builtin_rules(), "test");
  const auto start = std::chrono::steady_clock::now();
  ScoringPool pool(reward, {.threads = 4, .patience_seconds = 0.6});
  const auto row = std::make_shared<const ScoringRow>(ScoringRow{"", "", parse_json("{}", "t")});
  for (size_t i = 0; i < 16; ++i) pool.submit({row, i == 0 ? "hang" : "go", 1, false});
  const auto results = pool.finish();
  CHECK(results[0].components[0].verdict.status == VerdictStatus::error);
  CHECK(results[0].components[0].verdict.reason == "not judged within 0.6 s");
  for (size_t i = 1; i < 16; ++i) CHECK(results[i].value == 1.0);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(30));
  REQUIRE(reward.time_warnings(0.6).size() == 1);
  CHECK(reward.time_warnings(0.6)[0].find("timeout=100 is never reached") != std::string::npos);
  CHECK(reward.time_warnings(100).empty());
}

TEST_CASE("a program that still judges when the process exits is killed with it") {
  const TemporaryFolder dir;
  const std::string begun = (dir / "begun").string(), alive = (dir / "alive").string();
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::shared_ptr<RewardRule> rule =
        rule_of("while read x; do touch " + begun + "; sleep 1; touch " + alive + "; done");
    std::thread([rule] { rule->score({.completion = "a"}); }).detach();
    while (!std::filesystem::exists(begun)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    std::exit(0);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  CHECK(std::filesystem::exists(begun));
  CHECK_FALSE(std::filesystem::exists(alive));
}

TEST_CASE("what a program writes to standard error is kept") {
  const CompositeReward reward(
      parse_reward_spec(
          "command(run=\"while read x; do echo careful >&2; echo 1; done\")=1 as mine", "test"),
      builtin_rules(), "test");
  CHECK(reward.score({.completion = "a"}).value == 1.0);
  CHECK(reward.score({.completion = "a"}).value == 1.0);
  std::string text;
  for (const RewardMessage& message : reward.take_messages()) {
    CHECK(message.component == "mine");
    text += message.text;
  }
  CHECK(text.find("careful") != std::string::npos);
  CHECK(reward.take_messages().empty());
}

TEST_CASE("the Python example of the documentation judges") {
  if (!has_python()) return;
  const auto rule = rule_of("python3 " + test::source_dir() + "/docs/examples/reward.py");
  const Verdict right = rule->score({.completion = "<think>hm</think> 7\n", .gold = "7"});
  INFO(right.reason);
  CHECK(right.status == VerdictStatus::ok);
  CHECK(right.value > 0.99);
  CHECK(right.extracted == "7");
  CHECK(rule->score({.completion = "8", .gold = "7"}).status == VerdictStatus::wrong);
}

TEST_CASE("a command without a command line is refused") {
  CHECK_THROWS_AS(rule_of(""), UserError);
  CHECK_THROWS_AS(rule_of("true", {{"workers", "0"}}), UserError);
  CHECK_THROWS_AS(rule_of("true", {{"timeout", "0"}}), UserError);
}
