// Every recipe is killed at every moment that it comes to, one after another, and goes on each
// time: in the end it is the run that nobody disturbed.
#include "core/moment.h"

#include <set>

#include "core/file.h"
#include "data/store_reader.h"
#include "tests/cli/micro_workshop.h"
#include "tests/support/catch.h"

using namespace temper;
using test::differing;
using test::kMicroGrpo;
using test::kMicroSft;
using test::MicroWorkshop;
namespace fs = std::filesystem;

namespace {

constexpr int kKilled = 128 + 9;

ProgramResult run_armed(const MicroWorkshop& w, const std::string& moment,
                        const Arguments& arguments) {
  return run_program("/usr/bin/env",
                     Arguments{"TEMPER_KILL_AT=" + moment, test::temper_binary()} + arguments,
                     w.folder.path());
}

// Kills the recipe at each moment, the second time that it comes to it, and goes on.
void kill_at_each(const MicroWorkshop& w, const Arguments& recipe,
                  const std::vector<std::string>& moments) {
  for (const std::string& moment : moments) {
    const ProgramResult result = run_armed(w, moment + ":2", recipe);
    INFO(moment << ": " << result.err);
    REQUIRE(result.exit_code == kKilled);
  }
  w.ends(0, recipe);
}

// Runs the recipe into "r" unharmed and gives that folder another name, so that one killed on its
// way may have the same paths in its rows.
void run_straight(const MicroWorkshop& w, const Arguments& recipe) {
  w.ends(0, recipe + Arguments{"--out", "r"});
  fs::rename(w.path("r"), w.path("straight"));
}

bool same_samples(const MicroWorkshop& w, const std::string& stage) {
  return read_file(w.path("straight") / stage / "samples.jsonl") ==
         read_file(w.path("r") / stage / "samples.jsonl");
}

const std::vector<std::string> kTraining{
    "training",           "update", "updated",  "checkpoint writing", "checkpoint rename",
    "checkpoint renamed", "commit", "committed"};

}  // namespace

TEST_CASE("moments: sft killed in each of its phases ends in the same bits") {
  const MicroWorkshop w;
  const Arguments recipe = kMicroSft + Arguments{"--max-steps", "14", "--save-every", "1"};
  run_straight(w, recipe);
  kill_at_each(w, recipe + Arguments{"--resume", "--out", "r"}, kTraining);
  CHECK(differing(w.path("straight"), w.path("r")) == "");
}

TEST_CASE("moments: grpo killed in each of its phases ends in the same bits") {
  const MicroWorkshop w;
  const Arguments recipe = kMicroGrpo + Arguments{"--steps", "14", "--save-every", "1"};
  run_straight(w, recipe);
  std::vector<std::string> moments{"rollout", "scoring"};
  moments.insert(moments.end(), kTraining.begin(), kTraining.end());
  kill_at_each(w, recipe + Arguments{"--resume", "--out", "r"}, moments);
  CHECK(differing(w.path("straight"), w.path("r")) == "");
}

TEST_CASE("moments: distillation killed while it samples, filters and trains") {
  const MicroWorkshop w;
  const Arguments recipe{"distill",
                         "--teacher",
                         "m",
                         "--student",
                         "m",
                         "--data",
                         "prompts.jsonl",
                         "--reward",
                         "regex(match=search;part=all)=1",
                         "--max-new-tokens",
                         "6",
                         "--samples",
                         "4",
                         "--keep-truncated",
                         "--max-similarity",
                         "1",
                         "--prompts-per-step",
                         "2",
                         "--batch-size",
                         "2",
                         "--max-steps",
                         "12",
                         "--save-every",
                         "1"};
  run_straight(w, recipe);
  // The teacher's rows come first; what trains is met once they are there.
  kill_at_each(w, recipe + Arguments{"--resume", "--out", "r"},
               {"rollout", "scoring", "commit", "committed", "training", "update", "updated",
                "checkpoint writing", "checkpoint rename", "checkpoint renamed"});
  CHECK(differing(w.path("straight"), w.path("r")) == "");
  CHECK(same_samples(w, "teacher"));
}

TEST_CASE("moments: a chain killed within its stages and between them goes on with --resume") {
  const MicroWorkshop w;
  w.folder.write("chain.toml", R"(
[recipe]
seed = 4

[learn]
run = "sft"
model = "m"
data = ["sft.jsonl"]
batch_size = 4
max_steps = 6
save_every = 1

[explore]
run = "grpo"
model = "{learn}/model"
data = ["prompts.jsonl"]
reward = "regex(match=search;part=all)=1"
steps = 6
prompts_per_step = 2
samples_per_prompt = 4
max_new_tokens = 6
save_every = 1

[reject]
run = "rejection"
teacher = "{explore}/model"
data = ["prompts.jsonl"]
reward = "regex(match=search;part=all)=1"
samples = 4
max_new_tokens = 6
max_similarity = 1
keep_truncated = true
prompts_per_step = 2

[learn-more]
like = "learn"
data = ["{reject}/samples.jsonl"]
max_steps = 3
)");
  const Arguments chain{"r1", "chain.toml"}, killed = chain + Arguments{"--out", "r"};
  run_straight(w, chain);
  std::string said;
  for (const char* moment : {"update:2", "checkpoint renamed:2", "between stages:1", "rollout:2",
                             "scoring:9", "updated:2", "commit:3", "between stages:1",
                             "committed:2", "filtering:1", "between stages:1", "training:2"}) {
    const ProgramResult result = run_armed(w, moment, killed);
    INFO(moment << ": " << result.err);
    REQUIRE(result.exit_code == kKilled);
    said += result.err;
  }
  said += w.ends(0, killed);
  for (const char* stage : {"learn", "explore", "reject", "learn-more"}) {
    INFO(stage);
    CHECK(differing(w.path("straight") / stage, w.path("r") / stage) == "");
    CHECK(said.find("stage " + std::string(stage) + ": its earlier output") == std::string::npos);
  }
  for (const char* stage : {"sft", "grpo", "rejection"})
    CHECK(said.find("temper " + std::string(stage)) != std::string::npos);
  CHECK(said.find("--resume") != std::string::npos);
  CHECK(same_samples(w, "reject"));
}

TEST_CASE("moments: an unknown one is refused with those that there are") {
  const MicroWorkshop w;
  const ProgramResult result = run_armed(w, "lunch:1", {"sft", "--help"});
  CHECK(result.exit_code == 0);  // a text needs no arming
  const ProgramResult armed = run_armed(w, "lunch:1", kMicroSft + Arguments{"--out", "r"});
  CHECK(armed.exit_code == 2);
  CHECK_THAT(armed.err, Contains("no such moment") && Contains("checkpoint rename"));
}
