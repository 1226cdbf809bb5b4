// temper reward and temper data as a user runs them.
#include "core/file.h"
#include "core/json.h"
#include "data/store_reader.h"
#include "data/store_step.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"
#include "tests/support/run_binary.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

namespace {

ProgramResult temper_with(const std::vector<std::string>& arguments) {
  return run_program(test::temper_binary(), arguments);
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

TEST_CASE("a file of its own says what --reward says") {
  const TemporaryFolder folder;
  const auto data = folder.write(
      "in.jsonl", "{\"gold\":\"7\",\"pred\":\"<think>a</think><answer>8</answer>\"}\n");
  const auto file = folder.write(
      "reward.toml",
      "[rewards.math]\n[rewards.format]\nweight = 0.5\nunless = 'math'\nclamp = [0, 0.5]\n");
  const ProgramResult run = temper_with({"reward", "score", "--reward", file, "--data", data});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  CHECK(find_member(parse_json(run.out, "out"), "value")->GetDouble() == 0.25);
  const ProgramResult same = temper_with(
      {"reward", "score", "--reward", "math,format=0.5 unless math clamp 0..0.5", "--data", data});
  CHECK(find_member(parse_json(same.out, "out"), "value")->GetDouble() == 0.25);
}

TEST_CASE("reward score judges the samples of a run again and says what changed") {
  const TemporaryFolder folder;
  {
    Store store(folder.path());
    const int64_t id =
        store.begin_run({.kind = "grpo", .model = "m", .code_version = "v", .command_line = ""});
    StepWriter writer(store, {id, "grpo", 1}, 0);
    const int64_t prompt =
        writer.add_prompt({.key = "row:1", .text = "1+1", .ids = {}, .reference = "2"});
    for (const char* text : {"\\boxed{2}", "\\boxed{3}"}) {
      const int64_t sample = writer.add_sample({.prompt_id = prompt,
                                                .sample_index = text[7] - '2',
                                                .completion = text,
                                                .finish_reason = "stop",
                                                .ids = {},
                                                .reward = 0.5});
      writer.add_reward(sample, {.rule = "math", .value = 0.0, .status = "wrong"});
    }
    writer.commit({});
  }
  const std::vector<std::string> score = {"replay", "reward", folder.path(), "--reward",
                                          "math,format"};
  const ProgramResult run = temper_with(score);
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  const ProgramResult same =
      temper_with({"reward", "score", "--db", folder.path(), "--reward", "math,format"});
  CHECK(same.exit_code == 0);
  CHECK(same.out == run.out);
  CHECK(temper_with({"reward", "score", "--rule", "math"}).exit_code != 0);
  CHECK(temper_with({"reward", "score", "--rule", "math", "--data", "x", "--db", "y"})
            .err.find("--data FILE.jsonl or --db RUN_DIR") != std::string::npos);
  CHECK(run.out.find("2 samples judged again\nmath: 1 changed; mean value 0.0000 -> 0.5000\n") ==
        0);
  CHECK(run.out.find("total: 1 higher, 1 lower; mean 0.5000 -> 0.5000\n") != std::string::npos);
  const std::string other = temper_with({"replay", "reward", folder.path(), "--reward", "exact"})
                                .out;  // a rule that is new to the run
  CHECK(other.find("exact: 0 changed\n") != std::string::npos);
  CHECK(other.find("total: 0 higher, 2 lower; mean 0.5000 -> 0.0000\n") != std::string::npos);
  CHECK(other.find("row:1   total") != std::string::npos);
  CHECK(run.out.find("wrong -> ok: 1") != std::string::npos);
  CHECK(run.out.find("new -> wrong: 2") != std::string::npos);
  CHECK(run.out.find("row:1   math   wrong          0  ok           1") != std::string::npos);
  const Json json =
      parse_json(temper_with({"replay", "reward", folder.path(), "--reward", "math", "--json"}).out,
                 "replay reward");
  CHECK(json["changes"].Size() == 2);  // a verdict, and a total
  CHECK(std::string(json["changes"][0]["now"].GetString()) == "ok");
  CHECK(json["total"]["higher"].GetInt() == 1);
  CHECK(json["components"][0]["mean_now"].GetDouble() == 0.5);
  const auto stored = [&] {
    Database database = open_for_reading(folder.path());
    return database.value<std::string>(
        "SELECT group_concat(rule || status) FROM (SELECT * FROM rewards ORDER BY 1, 2)");
  };
  CHECK(stored() == "mathwrong,mathwrong");
  std::vector<std::string> write = score;
  write.push_back("--write");
  REQUIRE(temper_with(write).exit_code == 0);
  CHECK(stored() == "formatwrong,mathok,formatwrong,mathwrong");
  CHECK(temper_with(score).out.find("math: 0 changed") != std::string::npos);
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

TEST_CASE("an audit takes the first of several right answers, and says where none is named") {
  const TemporaryFolder folder;
  const auto data = folder.write(
      "cities.jsonl", "{\"capitals\":[\"Rome\",\"Roma\"]}\n{\"capitals\":[\"Paris\"]}\n");
  const std::string rule = "custom(find=json;pointer=/capital;compare=one_of;field=capitals)";
  const std::vector<std::string> audit = {"reward", "audit", "--rule",     rule,
                                          "--data", data,    "--wrapping", "{\"capital\": \"{}\"}"};
  std::vector<std::string> named = audit;
  named.insert(named.end(), {"--gold-field", "capitals"});
  const ProgramResult right = temper_with(named);
  CHECK(right.exit_code == 0);
  CHECK(right.out.find("the gold itself             2        2   100.00") != std::string::npos);
  CHECK(temper_with(audit).err.find("name its field with --gold-field") != std::string::npos);
}

TEST_CASE("reward list and audit answer") {
  CHECK(temper_with({"reward", "list"}).out.find("countdown") != std::string::npos);
  const TemporaryFolder folder;
  const auto data = folder.write("in.jsonl", "{\"gold\":\"1\"}\n{\"gold\":\"2\"}\n");
  const ProgramResult run = temper_with({"reward", "audit", "--rule", "math", "--data", data});
  CHECK(run.exit_code == 0);
  CHECK(run.out.find("the gold itself") != std::string::npos);
}
