// generate, score, rollout and eval as a user meets them, on a small random model.
#include <algorithm>
#include <sstream>

#include "core/file.h"
#include "core/json.h"
#include "data/store_reader.h"
#include "data/tokenizer_export.h"
#include "model/checkpoint/hf_folder.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"
#include "tests/support/run_binary.h"
#include "tests/support/shared.h"
#include "tests/support/small_models.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

namespace {

struct Bench {
  TemporaryFolder folder;
  std::string model = (folder.path() / "model").string();

  Bench() {
    std::filesystem::create_directories(model);
    write_tiny_tokenizer(model);
    ModelConfig config = small_v3_config();
    config.vocab_size = TinyTokenizer::kVocabSize;
    config.eos_token_id = {TinyTokenizer::kEnd};
    OwnedWeights weights = random_weights(config, DType::f32, 8);
    write_model_files(weights.view, config, model, {});
  }
  ProgramResult run(const std::string& command, std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {command, "--model", model, "--quiet"});
    return run_program(test::temper_binary(), arguments);
  }
};

std::vector<double> numbers(const JsonValue& object, const char* key) {
  std::vector<double> values;
  for (const JsonValue& v : find_member(object, key)->GetArray()) {
    values.push_back(v.IsNull() ? 0.0 : v.GetDouble());
  }
  return values;
}

}  // namespace

TEST_CASE("generate prints the new ids on the last line, the same ones for the same seed") {
  const Bench bench;
  const std::vector<std::string> arguments{"--ids",  "1,2,3", "--max-new-tokens", "6",
                                           "--seed", "4",     "--print-ids"};
  const ProgramResult first = bench.run("generate", arguments);
  REQUIRE(first.exit_code == 0);
  CHECK(bench.run("generate", arguments).out == first.out);
  std::string out = first.out;
  out.pop_back();
  const std::string last = out.substr(out.rfind('\n') + 1);
  CHECK(std::count(last.begin(), last.end(), ',') == 5);
  CHECK(bench.run("generate", {"--prompt", "hi", "--max-new-tokens", "3"}).exit_code == 0);
  CHECK(bench.run("generate", {"--prompt", "hi", "--raw", "--max-new-tokens", "3"}).exit_code == 0);
}

TEST_CASE("generate refuses what it cannot do by name") {
  const Bench bench;
  const ProgramResult none = bench.run("generate", {});
  CHECK(none.exit_code == 2);
  CHECK_THAT(none.err, Contains("--messages"));
  const ProgramResult high = bench.run("generate", {"--ids", "1,266"});
  CHECK(high.exit_code == 2);
  CHECK_THAT(high.err, Contains("266"));
  CHECK(bench.run("generate", {"--ids", "1", "--top-p", "0"}).exit_code == 2);
  const ProgramResult cold = bench.run("generate", {"--ids", "1", "--temperature", "1e-310"});
  CHECK(cold.exit_code == 2);
  CHECK_THAT(cold.err, Contains("temperature is out of range") && Contains("at least 1e-06"));
  const ProgramResult stop = bench.run("generate", {"--ids", "1", "--stop", ""});
  CHECK(stop.exit_code == 2);
  CHECK_THAT(stop.err, Contains("--stop") && Contains("leave it out"));
}

TEST_CASE("rollout's log-probabilities are those that score finds") {
  const Bench bench;
  const auto data = bench.folder.write("prompts.jsonl",
                                       "{\"ids\":[5,6,7],\"gold\":\"1\"}\n"
                                       "{\"ids\":[9,8,7,6,5,4,3],\"gold\":\"2\"}\n");
  const std::string samples = bench.folder.path() / "samples.jsonl";
  const std::string run = bench.folder.path() / "run";
  const ProgramResult rollout =
      bench.run("rollout", {"--data", data, "--samples", "3", "--max-new-tokens", "9", "--jsonl",
                            samples, "--out", run, "--reward", "math"});
  INFO(rollout.err);
  REQUIRE(rollout.exit_code == 0);
  std::string rows;
  std::vector<std::vector<double>> want;
  std::istringstream lines(read_file(samples));
  for (std::string line; std::getline(lines, line);) {
    const Json row = parse_json(line, "samples");
    std::vector<double> ids{5, 6, 7};
    if (want.size() >= 3) ids = {9, 8, 7, 6, 5, 4, 3};
    for (const double id : numbers(row, "ids")) ids.push_back(id);
    rows += rows.empty() ? "" : "\n";
    rows += "{\"ids\":[";
    for (size_t i = 0; i < ids.size(); ++i) {
      rows += (i > 0 ? "," : "") + std::to_string(static_cast<int>(ids[i]));
    }
    rows += "]}";
    want.push_back(numbers(row, "logprobs"));
  }
  REQUIRE(want.size() == 6);
  const ProgramResult score = bench.run("score", {"--ids", bench.folder.write("ids.jsonl", rows)});
  INFO(score.err);
  REQUIRE(score.exit_code == 0);
  std::istringstream scored(score.out);
  std::string line;
  for (size_t s = 0; std::getline(scored, line); ++s) {
    const std::vector<double> got = numbers(parse_json(line, "score"), "logprobs");
    const size_t prompt = got.size() - want[s].size();
    for (size_t t = 0; t < want[s].size(); ++t) {
      CHECK(std::abs(got[prompt + t] - want[s][t]) < 1e-4);
    }
  }
  Database db = open_for_reading(run);
  CHECK(db.value<int64_t>("SELECT count(*) FROM samples").value() == 6);
  CHECK(db.value<std::string>("SELECT status FROM runs").value() == "done");
}

TEST_CASE("eval prints a table and keeps it in the database") {
  const Bench bench;
  const auto data = bench.folder.write("sums.jsonl",
                                       "{\"prompt\":\"1+1=\",\"gold\":\"2\"}\n"
                                       "{\"prompt\":\"2+3=\",\"gold\":\"5\"}\n");
  const std::string run = bench.folder.path() / "run";
  const ProgramResult eval =
      bench.run("eval", {"--data", data, "--reward", "math=1,format=0.1", "--samples", "2",
                         "--max-new-tokens", "5", "--out", run});
  INFO(eval.err);
  REQUIRE(eval.exit_code == 0);
  CHECK_THAT(eval.out, Contains("sums: 2 prompts, 2 samples each"));
  CHECK_THAT(eval.out, Contains("pass@1"));
  CHECK_THAT(eval.out, Contains("tokens/s"));
  Database db = open_for_reading(run);
  CHECK(db.value<int64_t>("SELECT prompts FROM evals WHERE task = 'sums'").value() == 2);
  const ProgramResult bad = bench.run("eval", {"--data", data, "--reward", "maths"});
  CHECK(bad.exit_code == 2);
  CHECK_THAT(bad.err, Contains("math"));
}

TEST_CASE("eval knows benchmarks by name, and prints GSM8K as lm-eval reads it, both ways") {
  const Bench bench;
  std::filesystem::create_directories(bench.folder.path() / "gsm8k");
  bench.folder.write("gsm8k/test.jsonl", "{\"question\":\"1+1?\",\"answer\":\"so #### 2\"}\n");
  const ProgramResult eval = bench.run(
      "eval", {"--benchmark", "gsm8k", "--data-dir", bench.folder.path(), "--max-new-tokens", "4"});
  INFO(eval.err);
  REQUIRE(eval.exit_code == 0);
  CHECK_THAT(eval.out, Contains("gsm8k: 1 prompts, 1 sample each, temperature 0"));
  CHECK_THAT(eval.out, Contains("strict") && Contains("flexible"));
  std::filesystem::create_directories(bench.folder.path() / "humaneval");
  bench.folder.write("humaneval/HumanEval.jsonl.gz", "packed");
  const ProgramResult packed =
      bench.run("eval", {"--benchmark", "humaneval", "--data-dir", bench.folder.path()});
  CHECK(packed.exit_code == 2);
  CHECK_THAT(packed.err, Contains("gunzip"));
}

TEST_CASE("eval reads the public benchmarks as they are published") {
  const auto data = test::shared_data_dir();
  if (!test::present(data / "math") || !test::present(data / "mbpp")) return;
  const Bench bench;
  for (const std::string name : {"gsm8k", "math-500", "mbpp"}) {
    const ProgramResult eval =
        bench.run("eval", {"--benchmark", name, "--data-dir", data, "--limit", "12",
                           "--max-prompt-tokens", "240", "--max-new-tokens", "3"});
    INFO(eval.err);
    // No sandbox, or no interpreter to seal, on this machine.
    if (eval.err.find("sandbox") != std::string::npos) continue;
    if (eval.err.find("install python3") != std::string::npos) continue;
    CHECK(eval.exit_code == 0);
    CHECK_THAT(eval.out, Contains(name + ": "));
  }
}

TEST_CASE("eval compare: the same problems in two runs, with a paired test") {
  const Bench bench;
  std::string rows;
  for (int i = 0; i < 6; ++i) rows += "{\"prompt\":\"" + std::to_string(i) + "\",\"gold\":\"1\"}\n";
  const auto data = bench.folder.write("sums.jsonl", rows);
  const auto eval = [&](const std::string& name, const std::string& limit) {
    const std::string out = bench.folder.path() / name;
    const ProgramResult result =
        bench.run("eval", {"--data", data, "--reward", "math", "--max-new-tokens", "3", "--limit",
                           limit, "--out", out});
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return out;
  };
  const std::string a = eval("a", "5"), b = eval("b", "6");
  {  // five problems of the first run are wrong; three of them shall be right in the second
    Database db(store_path(b), OpenMode::write);
    db.run_script("UPDATE rewards SET status = 'wrong'");
    db.run_script("UPDATE rewards SET status = 'ok' WHERE sample_id <= 3");
    Database first(store_path(a), OpenMode::write);
    first.run_script("UPDATE rewards SET status = 'wrong'");
  }
  const ProgramResult json =
      run_program(test::temper_binary(), {"eval", "compare", a, b, "--json", "--quiet"});
  INFO(json.err);
  REQUIRE(json.exit_code == 0);
  const Json result = parse_json(json.out, "compare");
  CHECK(result["problems"].GetInt() == 5);
  CHECK(result["difference"].GetDouble() == Approx(0.6));
  CHECK(result["p_value"].GetDouble() == Approx(0.25));  // 2 of 2^3 sign changes
  CHECK(result["better"].GetInt() == 3);
  CHECK(result["left_out"].GetInt() == 1);
  const ProgramResult text = run_program(test::temper_binary(), {"eval", "compare", a, b});
  CHECK_THAT(text.out, Contains("difference +60.00 points") && Contains("p = 0.25"));
  const ProgramResult bad = run_program(test::temper_binary(), {"eval", "compare", a, data});
  CHECK(bad.exit_code == 2);
}
