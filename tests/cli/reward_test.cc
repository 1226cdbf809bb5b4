// temper reward and temper data as a user runs them.
#include "core/file.h"
#include "core/json.h"
#include "tests/support/catch.h"
#include "tests/support/run_binary.h"

using namespace temper;

namespace {

ProgramResult temper_with(const std::vector<std::string>& arguments) {
  return run_program(TEMPER_BINARY, arguments);
}

}  // namespace

TEST_CASE("reward score writes a verdict a row") {
  const TemporaryFolder folder;
  const auto data = folder.write("in.jsonl",
                                 "{\"gold\":\"72\",\"completion\":\"\\\\boxed{72}\"}\n\n"
                                 "{\"gold\":5,\"pred\":\"6\"}\n{\"gold\":\"\",\"pred\":\"6\"}\n");
  const auto out = folder.path() / "out.jsonl";
  const ProgramResult run =
      temper_with({"reward", "score", "--rule", "math", "--data", data, "--out", out});
  CHECK(run.exit_code == 0);
  CHECK(run.err.find("math: 1 ok, 1 wrong, 1 bad_gold") != std::string::npos);
  const std::string text = read_file(out);
  const Json first = parse_json(text.substr(0, text.find('\n')), "out");
  CHECK(std::string(find_member(first, "status")->GetString()) == "ok");
  CHECK(find_member(first, "value")->GetDouble() == 1.0);
  CHECK(std::string(find_member(first, "extracted")->GetString()) == "72");
}

TEST_CASE("reward score names a row that it cannot read") {
  const TemporaryFolder folder;
  const auto data = folder.write("in.jsonl", "{\"gold\":1,\"pred\":\"1\"}\n{\"gold\":1}\n");
  const ProgramResult run = temper_with({"reward", "score", "--rule", "math", "--data", data});
  CHECK(run.exit_code == 2);
  CHECK(run.err.find("in.jsonl:2") != std::string::npos);
  const ProgramResult unknown = temper_with({"reward", "score", "--rule", "mth", "--data", data});
  CHECK(unknown.exit_code == 2);
  CHECK(unknown.err.find("did you mean 'math'?") != std::string::npos);
}

TEST_CASE("a configuration file says what --reward says") {
  const TemporaryFolder folder;
  const auto data = folder.write(
      "in.jsonl", "{\"gold\":\"7\",\"pred\":\"<think>a</think><answer>7</answer>\"}\n");
  const auto file =
      folder.write("run.toml", "[rewards]\nmath = 1\n[rewards.format]\nweight = 0.5\n");
  const ProgramResult run = temper_with({"reward", "score", "--config", file, "--data", data});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  CHECK(find_member(parse_json(run.out, "out"), "value")->GetDouble() == 1.5);
}

TEST_CASE("data countdown writes demonstrations of which the asked share is right") {
  const TemporaryFolder folder;
  const auto rows = folder.path() / "rows.jsonl";
  const ProgramResult made = temper_with({"data", "countdown", "--count", "200", "--demonstrations",
                                          "--solved", "1", "--split", "test", "--out", rows});
  INFO(made.err);
  REQUIRE(made.exit_code == 0);
  const ProgramResult scored =
      temper_with({"reward", "score", "--reward", "countdown,format", "--data", rows});
  CHECK(scored.err.find("countdown: 200 ok") != std::string::npos);
  CHECK(scored.err.find("format: 200 ok") != std::string::npos);
}

TEST_CASE("reward list and audit answer") {
  CHECK(temper_with({"reward", "list"}).out.find("countdown") != std::string::npos);
  const TemporaryFolder folder;
  const auto data = folder.write("in.jsonl", "{\"gold\":\"1\"}\n{\"gold\":\"2\"}\n");
  const ProgramResult run = temper_with({"reward", "audit", "--rule", "math", "--data", data});
  CHECK(run.exit_code == 0);
  CHECK(run.out.find("the gold itself") != std::string::npos);
}
