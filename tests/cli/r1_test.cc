// temper r1: stages run, are skipped, go on and are replaced; the plan; the lineage.
#include "core/file.h"
#include "data/lineage.h"
#include "data/store_reader.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"
#include "tests/support/run_binary.h"
#include "tests/support/temporary_folder.h"

using namespace temper;
namespace fs = std::filesystem;

namespace {

constexpr const char* kRecipe = R"(
[recipe]
name = "little"
seed = 3

[sums]
run = "data arithmetic"
out = "sums.jsonl"
count = 12
chains = true
ops = "+-"
demonstrations = true

[init]
run = "model init"
preset = "tiny-dense"

[learn]
run = "sft"
model = "{init}"
data = ["{sums}"]
max_steps = 2
batch_size = 2

[learn-more]
like = "learn"
model = "{learn}/model"
label = "learning on"

[test]
run = "eval"
model = "{learn-more}/model"
data = ["{sums}"]
reward = "math=1,format=0.2"
max_new_tokens = 8
limit = 4
)";

struct Workshop {
  TemporaryFolder folder;

  explicit Workshop(const std::string& recipe = kRecipe) { write(recipe); }
  void write(const std::string& recipe) const { folder.write("little.toml", recipe); }
  ProgramResult run(const Arguments& more = {}) const {
    Arguments arguments{"r1", "little.toml", "--out", "chain"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(test::temper_binary(), arguments, folder.path());
  }
  ProgramResult done(const Arguments& more = {}) const {
    const ProgramResult result = run(more);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return result;
  }
  void refused(const std::string& part, const Arguments& more = {}) const {
    const ProgramResult result = run(more);
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, Contains(part));
  }
  Database database() const { return open_for_reading(folder.path() / "chain"); }
  bool exists(const std::string& path) const { return fs::exists(folder.path() / path); }
};

// Stages with this status, in order, joined.
std::string stages(Database& db, const std::string& status) {
  std::string names;
  db.for_each_row(
      "SELECT name FROM stages WHERE status = ? ORDER BY id",
      [&](Statement& row) { names += (names.empty() ? "" : " ") + row.get<std::string>(0); },
      status);
  return names;
}

}  // namespace

TEST_CASE("a chain runs its stages in order and leaves one table, curves and the lineage") {
  const Workshop shop;
  const ProgramResult first = shop.done();
  CHECK_THAT(first.out, Contains("held-out pass@1") && Contains("learn-more") &&
                            Contains("learning on") && !Contains("init"));
  CHECK_THAT(first.out, Contains(" device hours") && Contains("device h\n"));
  CHECK_THAT(read_file(shop.folder.path() / "chain/curves.svg"), Contains("learn-more: loss"));
  Database db = shop.database();
  CHECK(stages(db, "done") == "sums init learn learn-more test");
  const auto text = [&](const char* sql) { return db.value<std::string>(sql).value_or("none"); };
  CHECK(text("SELECT made_by FROM stage_inputs WHERE stage = 'learn-more' AND role = 'model'") ==
        "learn");
  const ProgramResult lineage = run_program(
      test::temper_binary(), {"inspect", "lineage", "chain", "--json"}, shop.folder.path());
  CHECK_THAT(lineage.out, Contains("\"path\":\"learn/model\",\"made_by\":\"learn\""));
  // What a stage read is what the other left, byte for byte.
  CHECK(db.value<int64_t>("SELECT count(*) FROM lineage i JOIN lineage o ON o.hash = i.hash AND"
                          " o.stage_id = i.from_stage AND o.direction = 'output'"
                          " WHERE i.direction = 'input'")
            .value() == 6);
  CHECK(text("WITH RECURSIVE up(id) AS (SELECT id FROM stages WHERE name = 'test' UNION"
             " SELECT l.from_stage FROM lineage l JOIN up ON l.stage_id = up.id"
             " WHERE l.from_stage IS NOT NULL)"
             " SELECT group_concat(name, ' ') FROM (SELECT name FROM stages JOIN up USING (id)"
             " ORDER BY position)") == "sums init learn learn-more test");
}

TEST_CASE("complete stages are not run again; a part of the chain can be run, or run again") {
  const Workshop shop;
  const auto status = [&] {
    return shop.database().value<std::string>("SELECT status FROM runs WHERE kind = 'r1'");
  };
  CHECK_THAT(
      shop.done({"--until", "learn"}).err,
      Contains("stopped behind stage learn; without --until the chain goes on with learn-more"));
  CHECK(status() == "interrupted");
  {
    Database db = shop.database();
    CHECK(stages(db, "done") == "sums init learn");
  }
  shop.refused("learn-more", {"--from", "test"});
  shop.refused("did you mean 'learn'", {"--from", "lern"});
  const ProgramResult rest = shop.done();
  CHECK_THAT(rest.err, Contains("stage learn: complete, not run again"));
  CHECK(status() == "done");
  const std::string before = path_fingerprint(shop.folder.path() / "chain/learn/model");
  const ProgramResult again = shop.done({"--from", "learn", "--until", "learn"});
  CHECK_THAT(again.err, Contains("learn.old-1") && Contains("goes on with learn-more"));
  CHECK(shop.exists("chain/learn.old-1/run.db"));
  CHECK(path_fingerprint(shop.folder.path() / "chain/learn/model") == before);  // same seed
  // What was made of the old one is not complete any more.
  shop.done();
  Database db = shop.database();
  CHECK(stages(db, "set aside") == "learn learn-more test");
  CHECK(stages(db, "done") == "sums init learn learn-more test");
}

TEST_CASE("a stage that was cut off begins anew or goes on, and nothing it left is lost") {
  const Workshop shop;
  shop.done({"--until", "learn"});
  {
    Database db(store_path(shop.folder.path() / "chain"), OpenMode::write);
    db.run_script("UPDATE stages SET status = 'running', finished = NULL WHERE name = 'learn'");
  }
  shop.done();
  Database db = shop.database();
  CHECK(stages(db, "done").find("learn learn-more test") != std::string::npos);
  CHECK(db.value<std::string>("SELECT status FROM runs").value() == "done");
}

TEST_CASE("a stage that fails is recorded, and the mended recipe goes on with it") {
  const std::string recipe = kRecipe;
  const size_t at = recipe.find("limit = 4");
  const Workshop shop(std::string(recipe).replace(at, 9, "max_prompt_tokens = 1"));
  shop.refused("no prompt");
  {
    Database db = shop.database();
    CHECK(stages(db, "failed") == "test");
    CHECK_THAT(db.value<std::string>("SELECT text FROM events WHERE level = 'error'").value(),
               Contains("stage test"));
  }
  shop.write(recipe);
  shop.done();
  shop.write(std::string(recipe).replace(recipe.find("max_steps = 2"), 13, "max_steps = 1"));
  shop.refused("changed since");
}

TEST_CASE("mistakes of a recipe are named with their line before anything runs") {
  const auto refused = [](const std::string& recipe, const std::string& part) {
    const Workshop shop(recipe);
    shop.refused(part);
    CHECK_FALSE(shop.exists("chain"));
  };
  refused("[a]\nrun = \"sfd\"\n", "little.toml:2");
  refused("[a]\nmodel = \"x\"\n", "what to run");
  refused("[a]\nrun = \"sft\"\nlearning_rat = 1\n", "did you mean 'learning-rate'");
  refused("[a]\nrun = \"sft\"\nmodel = \"{b}/model\"\n", "little.toml:3");
  refused("[a]\nlike = \"b\"\n", "no earlier stage");
  refused("[recipe]\ntitle = \"x\"\n", "unknown key of [recipe]");
  refused(
      "[a]\nrun = \"model init\"\n[b]\nrun = \"sft\"\nmodel = \"{a}\"\ndata = [\"x\"]\nepochs = "
      "0\n",
      "little.toml:7, [b], --epochs");
  refused("[a]\nrun = \"model init\"\n[b]\nrun = \"sft\"\nmodel = \"{a}\"\n", "little.toml:4, [b]");
  refused(
      "[a]\nrun = \"model init\"\n[b]\nrun = \"grpo\"\nmodel = \"{a}\"\ndata = [\"x\"]\n"
      "reward = \"maths=1\"\n",
      "little.toml:7, [b], --reward: unknown reward rule");
  refused("", "no stage");
}

TEST_CASE("the plan says what each stage reads, does, needs and leaves, and runs nothing") {
  const Workshop shop;
  const ProgramResult plan = shop.done({"--dry-run"});
  CHECK_FALSE(shop.exists("chain"));
  CHECK_THAT(plan.out, Contains("4. learn-more: temper sft"));
  CHECK_THAT(plan.out, Contains("model chain/learn/model (of learn)"));
  CHECK_THAT(plan.out, Contains("2 steps of 2 samples"));
  CHECK_THAT(plan.out, Contains("leaves   chain/test"));
}

TEST_CASE("the published recipe of a 671B model plans") {
  const ProgramResult plan =
      run_program(test::temper_binary(),
                  {"r1", test::source_dir() + "/docs/recipes/r1-671b.toml", "--dry-run"});
  INFO(plan.err);
  REQUIRE(plan.exit_code == 0);
  CHECK_THAT(plan.out, Contains("805k samples"));
  CHECK_THAT(plan.out, Contains("GiB in one copy"));
}

TEST_CASE(
    "the quickstart writes its recipe, goes on with --resume, and runs into no other folder") {
  const TemporaryFolder folder;
  const auto quickstart = [&](const Arguments& more, const std::string& moment) {
    return run_program(
        "/usr/bin/env",
        Arguments{"TEMPER_KILL_AT=" + moment, test::temper_binary(), "quickstart", "--out", "q"} +
            more,
        folder.path());
  };
  CHECK(quickstart({"--seed", "7"}, "between stages:1").exit_code == 128 + 9);
  CHECK_THAT(read_file(folder.path() / "q/r1-tiny.toml"), Contains("\nseed = 7\n"));
  const ProgramResult again = quickstart({"--seed", "7"}, "update:1");
  CHECK(again.exit_code == 2);
  CHECK_THAT(again.err, Contains("exists already") && Contains("--resume"));
  const ProgramResult other = quickstart({"--resume", "--seed", "8"}, "update:1");
  CHECK(other.exit_code == 2);
  CHECK_THAT(other.err, Contains("another seed"));
  // Up to the first update of the first training, with the seed of the folder.
  const ProgramResult on = quickstart({"--resume"}, "between stages:2");
  INFO(on.err);
  CHECK(on.exit_code == 128 + 9);
  CHECK_THAT(on.err, Contains("--seed 7") && Contains("its earlier output is now"));
  Database db = open_for_reading(folder.path() / "q");
  CHECK(stages(db, "done") == "demonstrations");
  CHECK(stages(db, "running") == "problems");
}
