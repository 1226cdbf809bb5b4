// temper reward-model from the command line, and its model as a reward.
#include <filesystem>

#include "core/file.h"
#include "data/store_reader.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"
#include "tests/support/run_binary.h"

using namespace temper;

namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Answers with "yes" are better than those with "no".
std::string pairs(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    const std::string n = std::to_string(i);
    text += "{\"prompt\":\"is it " + n + "\",\"chosen\":\"yes" + n + "\",\"rejected\":\"no" + n +
            "\"}\n";
  }
  return text;
}

}  // namespace

TEST_CASE("reward-model: trains, reports, and judges in score and grpo; grpo logs what it took") {
  const TemporaryFolder folder;
  const auto run = [&](const std::vector<std::string>& arguments) {
    return run_program(test::temper_binary(), arguments, folder.path());
  };
  const auto done = [&](const std::vector<std::string>& arguments) {
    const ProgramResult result = run(arguments);
    INFO(arguments[0] << ": " << result.err);
    REQUIRE(result.exit_code == 0);
    return result;
  };
  folder.write("pairs.jsonl", pairs(40));
  done({"model", "init", "--preset", "tiny", "--out", "init", "--seed", "2"});
  const ProgramResult trained =
      done({"reward-model", "--model", "init", "--data", "pairs.jsonl", "--out", "rm", "--holdout",
            "0.25", "--batch-size", "6", "--epochs", "2", "--learning-rate", "1e-3"});
  for (const char* part : {"train:", "held-out before: 10 pairs", "held-out after:", "by length",
                           "correlation with length"})
    CHECK(has(trained.out, part));
  for (const char* part : {"40 rows, 10 of them held out", "answers: good", "memory plan"})
    CHECK(has(trained.err, part));
  CHECK(has(read_file(folder.path() / "rm/model/config.json"), "ForSequenceClassification"));
  CHECK(has(done({"inspect", "runs", "rm"}).out, "reward-model"));
  CHECK(has(done({"inspect", "curve", "rm", "--metric", "heldout/accuracy"}).out, "heldout"));
  CHECK(has(done({"model", "info", "rm/model"}).out, "parameters"));

  folder.write("answers.jsonl",
               "{\"prompt\":\"is it 7\",\"completion\":\"yes7\"}\n"
               "{\"prompt\":\"is it 7\",\"completion\":\"no7\"}\n");
  const std::string scored =
      done({"reward", "score", "--rule", "rm(model=rm/model)", "--data", "answers.jsonl"}).out;
  CHECK(has(scored, "\"reason\":\"score "));
  CHECK(has(done({"reward", "list"}).out, "judge"));

  // The model as a part of a reward in training, from a table.
  folder.write(
      "rewards.toml",
      "[rewards.rm]\nmodel = \"rm/model\"\nweight = 0.5\n[rewards.length]\nmax_tokens = 8\n"
      "soft_tokens = 4\nweight = 0.1\n");
  folder.write("prompts.jsonl", "{\"prompt\":\"is it 1\"}\n{\"prompt\":\"is it 2\"}\n");
  const std::string said =
      done({"grpo", "--model", "init", "--data", "prompts.jsonl", "--reward", "rewards.toml",
            "--steps", "2", "--prompts-per-step", "2", "--samples-per-prompt", "2",
            "--max-new-tokens", "8", "--out", "grpo"})
          .err;
  CHECK(has(said, "reward rm: weights"));  // in the memory plan
  const std::string taught =               // which may keep nothing
      run({"rejection", "--teacher", "init", "--data", "prompts.jsonl", "--reward",
           "rm(model=rm/model)=1", "--samples", "2", "--max-new-tokens", "8", "--out", "kept"})
          .err;
  CHECK(has(taught, "reward rm: weights"));
  folder.write("chain.toml",
               "[recipe]\nname = \"chain\"\n[first]\nrun = \"grpo\"\nmodel = \"init\"\n"
               "data = [\"prompts.jsonl\"]\nreward = \"rm(model=rm/model)=1, "
               "judge(model=policy)=0.1, length=0.1\"\n");
  const std::string plan = done({"r1", "chain.toml", "--out", "chain", "--dry-run"}).out;
  CHECK(has(plan, "reward rm: weights"));
  CHECK(has(plan, "reward judge: KV cache"));
  CHECK_FALSE(has(plan, "reward judge: weights"));
  Database database = open_for_reading(folder.path() / "grpo");
  const auto took = read_curve(database, 1, "grpo", "seconds/reward/rm");
  REQUIRE(took.size() == 2);
  for (const CurvePoint& p : took) CHECK(p.value > 0.0);
  CHECK(database.value<int64_t>("SELECT count(*) FROM rewards WHERE rule = 'rm'").value_or(0) == 8);
  CHECK(has(done({"replay", "reward", "grpo", "--reward", "rm(model=rm/model)"}).out, "rm"));

  const ProgramResult writes = run({"generate", "--model", "rm/model", "--prompt", "x"});
  CHECK(writes.exit_code == 2);
  CHECK(has(writes.err, "a reward model writes no text"));
  const ProgramResult language =
      run({"reward", "score", "--rule", "rm(model=init)", "--data", "answers.jsonl"});
  CHECK(language.exit_code == 2);
  CHECK(has(language.err, "temper reward-model"));
}
