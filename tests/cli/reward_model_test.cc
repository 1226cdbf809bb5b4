// temper reward-model from the command line, and its model as a reward.
#include <filesystem>

#include "core/file.h"
#include "data/store_reader.h"
#include "tests/cli/workshop.h"

using namespace temper;
using test::has;

namespace {

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
  const test::Workshop shop;
  shop.folder.write("pairs.jsonl", pairs(40));
  shop.ended(0, {"model", "init", "--preset", "tiny", "--out", "init", "--seed", "2"});
  const ProgramResult trained = shop.ended(
      0, {"reward-model", "--model", "init", "--data", "pairs.jsonl", "--out", "rm", "--holdout",
          "0.25", "--batch-size", "6", "--epochs", "2", "--learning-rate", "1e-3"});
  for (const char* part : {"train:", "held-out before: 10 pairs", "held-out after:", "by length",
                           "correlation with length"})
    CHECK(has(trained.out, part));
  for (const char* part : {"40 rows, 10 of them held out", "answers: good", "memory plan"})
    CHECK(has(trained.err, part));
  CHECK(has(read_file(shop.folder / "rm/model/config.json"), "ForSequenceClassification"));
  CHECK(has(shop.done({"inspect", "runs", "rm"}), "reward-model"));
  CHECK(has(shop.done({"inspect", "curve", "rm", "--metric", "heldout/accuracy"}), "heldout"));
  CHECK(has(shop.done({"model", "info", "rm/model"}), "parameters"));

  shop.folder.write("answers.jsonl",
                    "{\"prompt\":\"is it 7\",\"completion\":\"yes7\"}\n"
                    "{\"prompt\":\"is it 7\",\"completion\":\"no7\"}\n");
  const std::string scored =
      shop.done({"reward", "score", "--rule", "rm(model=rm/model)", "--data", "answers.jsonl"});
  CHECK(has(scored, "\"reason\":\"score "));
  CHECK(has(shop.done({"reward", "list"}), "judge"));

  // The model as a part of a reward in training, from a table.
  shop.folder.write(
      "rewards.toml",
      "[rewards.rm]\nmodel = \"rm/model\"\nweight = 0.5\n[rewards.length]\nmax_tokens = 8\n"
      "soft_tokens = 4\nweight = 0.1\n");
  shop.folder.write("prompts.jsonl", "{\"prompt\":\"is it 1\"}\n{\"prompt\":\"is it 2\"}\n");
  const std::string said =
      shop.ended(0, {"grpo", "--model", "init", "--data", "prompts.jsonl", "--reward",
                     "rewards.toml", "--steps", "2", "--prompts-per-step", "2",
                     "--samples-per-prompt", "2", "--max-new-tokens", "8", "--out", "grpo"})
          .err;
  CHECK(has(said, "reward rm: weights"));  // in the memory plan
  const std::string taught =               // which may keep nothing
      shop.run({"rejection", "--teacher", "init", "--data", "prompts.jsonl", "--reward",
                "rm(model=rm/model)=1", "--samples", "2", "--max-new-tokens", "8", "--out", "kept"})
          .err;
  CHECK(has(taught, "reward rm: weights"));
  shop.folder.write("chain.toml",
                    "[recipe]\nname = \"chain\"\n[first]\nrun = \"grpo\"\nmodel = \"init\"\n"
                    "data = [\"prompts.jsonl\"]\nreward = \"rm(model=rm/model)=1, "
                    "judge(model=policy)=0.1, length=0.1\"\n");
  const std::string plan = shop.done({"r1", "chain.toml", "--out", "chain", "--dry-run"});
  CHECK(has(plan, "reward rm: weights"));
  CHECK(has(plan, "reward judge: KV cache"));
  CHECK_FALSE(has(plan, "reward judge: weights"));
  Database database = open_for_reading(shop.folder / "grpo");
  const auto took = read_curve(database, 1, "grpo", "seconds/reward/rm");
  REQUIRE(took.size() == 2);
  for (const CurvePoint& p : took) CHECK(p.value > 0.0);
  CHECK(database.value<int64_t>("SELECT count(*) FROM rewards WHERE rule = 'rm'").value_or(0) == 8);
  CHECK(has(shop.done({"replay", "reward", "grpo", "--reward", "rm(model=rm/model)"}), "rm"));

  const ProgramResult writes = shop.run({"generate", "--model", "rm/model", "--prompt", "x"});
  CHECK(writes.exit_code == 2);
  CHECK(has(writes.err, "a reward model writes no text"));
  const ProgramResult language =
      shop.run({"reward", "score", "--rule", "rm(model=init)", "--data", "answers.jsonl"});
  CHECK(language.exit_code == 2);
  CHECK(has(language.err, "temper reward-model"));
}
