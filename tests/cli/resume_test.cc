// Runs that are killed and gone on with, from the command line, and what is refused on the way.
#include <filesystem>

#include "cli/compare_folders.h"
#include "core/file.h"
#include "core/file_lock.h"
#include "data/store_reader.h"
#include "data/store_step.h"
#include "tests/cli/micro_workshop.h"
#include "tests/support/catch.h"

using namespace temper;
using test::differing;
using test::has;
using test::kMicroGrpo;
using test::kMicroSft;
using test::MicroWorkshop;
namespace fs = std::filesystem;

namespace {

// Kills the recipe again and again; every resumed run must end in the bits of the one unharmed.
void verify(const MicroWorkshop& w, const Arguments& recipe, const std::string& kills) {
  const ProgramResult result = w.run(
      Arguments{"verify-resume", "--out", "v", "--kills", kills, "--seed", "3", "--"} + recipe);
  INFO(result.out << result.err);
  CHECK(result.exit_code == 0);
  CHECK(has(result.out, "every resumed run ended in the same bits"));
  CHECK(has(result.out, "model/training_state.safetensors"));  // moments too
  CHECK_FALSE(w.exists("v"));
}

void flip_byte(const fs::path& file) {
  std::string bytes = read_file(file);
  bytes[bytes.size() / 2] ^= 4;
  write_file_atomically(file, bytes);
}

int64_t count(const fs::path& run, const std::string& sql) {
  Database db = open_for_reading(run);
  return db.value<int64_t>(sql).value_or(-1);
}

}  // namespace

TEST_CASE("resume: sft killed at random moments ends in the same bits") {
  const MicroWorkshop w;
  verify(w, kMicroSft + Arguments{"--max-steps", "6", "--save-every", "2", "--schedule", "cosine"},
         "10");
}

TEST_CASE("resume: sft that stores bf16 or computes in f64 goes on with the exact weights") {
  const MicroWorkshop w;
  verify(w,
         kMicroSft + Arguments{"--max-steps", "4", "--save-every", "1", "--save-dtype", "bf16",
                               "--moments", "bf16"},
         "4");
  verify(w, kMicroSft + Arguments{"--max-steps", "4", "--save-every", "1", "--dtype", "f64"}, "3");
}

TEST_CASE("resume: grpo killed at random moments ends in the same bits") {
  const MicroWorkshop w;
  verify(w,
         kMicroGrpo + Arguments{"--steps", "6", "--save-every", "2", "--mini-batches", "2",
                                "--shuffle-mini-batches"},
         "10");
}

TEST_CASE("resume: grpo with a stale rollout, a renewed reference and dynamic sampling") {
  const MicroWorkshop w;
  verify(w,
         kMicroGrpo + Arguments{"--steps",
                                "6",
                                "--save-every",
                                "1",
                                "--staleness",
                                "1",
                                "--kl-coef",
                                "0.1",
                                "--reference-every",
                                "2",
                                "--reset-optimizer",
                                "--dynamic-sampling",
                                "--oversample",
                                "1.5",
                                "--max-generations",
                                "3",
                                "--replay-routing",
                                "on",
                                "--top-p",
                                "0.9",
                                "--keep-sampling-mask",
                                "--bias-update-speed",
                                "0.01"},
         "12");
}

TEST_CASE("resume: another number of threads gives the same bits") {
  const MicroWorkshop w;
  for (const auto& [recipe, steps] : {std::pair{kMicroSft, std::string("--max-steps")},
                                      std::pair{kMicroGrpo, std::string("--steps")}}) {
    INFO(recipe[0]);
    for (const char* out : {"straight", "r"})
      w.ends(0,
             recipe + Arguments{steps, "4", "--save-every", "2", "--threads", "1", "--out", out});
    w.ends(0, {recipe[0], "--resume-from", "2", "--out", "r", "--threads", "3"});
    CHECK(differing(w.path("straight"), w.path("r")).empty());
    for (const char* out : {"straight", "r"}) fs::remove_all(w.path(out));
  }
}

TEST_CASE("resume: a comparison sees one changed number, and does not see times") {
  const MicroWorkshop w;
  for (const char* out : {"a", "b"})
    w.ends(0, kMicroGrpo + Arguments{"--steps", "2", "--out", out});
  CHECK(differing(w.path("a"), w.path("b")).empty());
  Store store(w.path("b"), OpenMode::write);
  store.database().execute("UPDATE samples SET generate_seconds = 99");
  CHECK(differing(w.path("a"), w.path("b")).empty());
  store.database().execute("UPDATE metrics SET value = value + 1e-9 WHERE name = 'grad_norm'");
  CHECK(differing(w.path("a"), w.path("b")) == "metrics ");
  store.database().execute("DELETE FROM rewards WHERE sample_id = 3");
  flip_byte(fs::canonical(w.path("b/model")) / "model.safetensors");
  CHECK(differing(w.path("a"), w.path("b")) == "metrics rewards model/model.safetensors ");
}

TEST_CASE("resume: the folder alone is enough, a run that is done stays so, and it can go on") {
  const MicroWorkshop w;
  const Arguments recipe = kMicroSft + Arguments{"--max-steps", "2", "--out", "r"};
  w.ends(0, recipe + Arguments{"--resume"});  // begins it
  CHECK(has(w.ends(0, {"sft", "--resume", "--out", "r"}), "nothing is left to do"));
  CHECK(count(w.path("r"), "SELECT count(*) FROM events") == 0);
  CHECK(has(w.ends(0, {"sft", "--resume", "--out", "r", "--max-steps", "4"}), "behind step 2"));
  CHECK(has(w.ends(0, {"sft", "--resume", "--out", "r"}), "nothing is left to do"));
  w.ends(0, kMicroSft + Arguments{"--max-steps", "4", "--out", "straight"});
  // One more of each, of step 2, where the first call ended.
  CHECK(differing(w.path("straight"), w.path("r")) == "checkpoints metrics ");
}

TEST_CASE("resume: rows behind the checkpoint are done again, and an event says so") {
  const MicroWorkshop w;
  w.ends(0, kMicroGrpo + Arguments{"--steps", "4", "--save-every", "2", "--out", "r"});
  w.ends(0, kMicroGrpo + Arguments{"--steps", "4", "--save-every", "2", "--out", "straight"});
  const std::string event = " FROM events WHERE text LIKE 'resumed behind %'";
  CHECK(has(w.ends(0, {"grpo", "--resume-from", "2", "--out", "r"}),
            "the 2 steps behind it are done again"));
  CHECK(count(w.path("r"), "SELECT data ->> 'discarded_steps'" + event) == 2);
  CHECK(count(w.path("r"), "SELECT data ->> 'discarded_samples'" + event) == 16);
  CHECK(has(w.ends(0, {"inspect", "events", "r"}), "resumed behind step 2"));
  CHECK(differing(w.path("straight"), w.path("r")).empty());
}

TEST_CASE("resume: a folder without its row is no checkpoint, a half-written one goes") {
  const MicroWorkshop w;
  w.ends(0, kMicroSft + Arguments{"--max-steps", "3", "--save-every", "1", "--out", "r"});
  {
    // A kill between the folder of step 3 and its row.
    Store store(w.path("r"), OpenMode::write);
    store.database().execute("DELETE FROM steps WHERE step = 3");
    store.database().execute("UPDATE runs SET status = 'running', finished = NULL");
  }
  flip_byte(w.path("r/checkpoints/step-3/model.safetensors"));
  fs::create_directories(w.path("r/checkpoints/step-9.tmp"));
  w.ends(0, {"sft", "--resume", "--out", "r"});
  CHECK_FALSE(w.exists("r/checkpoints/step-9.tmp"));
  w.ends(0, kMicroSft + Arguments{"--max-steps", "3", "--save-every", "1", "--out", "straight"});
  CHECK(differing(w.path("straight"), w.path("r")).empty());
}

TEST_CASE("resume: a damaged checkpoint is refused, and the one before it named") {
  const MicroWorkshop w;
  w.ends(0, kMicroSft + Arguments{"--max-steps", "3", "--save-every", "1", "--out", "r"});
  const fs::path last = w.path("r/checkpoints/step-3"), weights = last / "model.safetensors";
  const Arguments resume{"sft", "--resume", "--out", "r", "--max-steps", "4"};
  const std::string whole = read_file(weights);
  const std::vector<std::string> words{"the checkpoint is damaged", "step-3", "model.safetensors",
                                       "--resume-from 2"};
  flip_byte(weights);
  w.refused(resume, words);
  w.refused({"generate", "--model", "r/model", "--ids", "1", "--max-new-tokens", "1"},
            {"damaged", "model.safetensors", "checkpoints/step-2, which is whole"});
  fs::resize_file(weights, fs::file_size(weights) / 2);
  w.refused(resume, words);
  fs::remove(weights);
  w.refused(resume, {"model.safetensors: missing", "--resume-from 2"});
  write_file_atomically(weights, whole);
  flip_byte(last / "checksums.xxh64");
  w.refused(resume, {"checksums.xxh64", "--resume-from 2"});
  fs::remove_all(last);
  w.refused(resume, {"the folder is missing", "--resume-from 2"});
  fs::create_directories(w.path("torn/checkpoints"));
  w.refused(kMicroSft + Arguments{"--resume", "--out", "torn"},
            {"torn/run.db", "database is gone", "bring it back"});
  w.refused({"sft", "--resume-from", "7", "--out", "r"}, {"no checkpoint of this step", "2, 3"});
  w.ends(0, {"sft", "--resume-from", "2", "--out", "r"});
  w.ends(0, kMicroSft + Arguments{"--max-steps", "3", "--save-every", "1", "--out", "straight"});
  CHECK(differing(w.path("straight"), w.path("r")).empty());
}

TEST_CASE("resume: other options, other data, another kind or another model are refused") {
  const MicroWorkshop w;
  w.ends(0, kMicroGrpo + Arguments{"--steps", "2", "--save-every", "1", "--out", "r"});
  const Arguments more{"grpo", "--resume", "--out", "r", "--steps", "3"};
  w.refused(more + Arguments{"--learning-rate", "0.5"},
            {"--learning-rate", "'0.01'", "'0.5'", "leave the flag out"});
  w.refused({"sft", "--resume", "--out", "r", "--model", "m", "--data", "sft.jsonl"},
            {"another kind", "temper grpo --resume"});
  const std::string data = read_file(w.path("prompts.jsonl"));
  w.folder.write("prompts.jsonl", data + "{\"prompt\":\"more\",\"gold\":\"x\"}\n");
  w.refused(more, {"the data is not the data", "prompts.jsonl"});
  w.folder.write("prompts.jsonl", data);
  flip_byte(w.path("m/model.safetensors"));  // the reference comes from it
  w.refused(more, {"the model folder is not the one"});
  CHECK(count(w.path("r"), "SELECT count(*) FROM steps") == 2);
}

TEST_CASE("resume: two at work in one folder: the second is refused") {
  const MicroWorkshop w;
  w.ends(0, kMicroSft + Arguments{"--max-steps", "1", "--out", "r"});
  const FileLock lock(w.path("r/run.lock"));
  w.refused({"sft", "--resume", "--out", "r", "--max-steps", "2"},
            {"another temper is at work", "process "});
  w.refused(kMicroSft + Arguments{"--out", "r"}, {"in use", "--resume"});
}

TEST_CASE("resume: two chains, or two teachers, in one folder: the second is refused") {
  const MicroWorkshop w;
  w.folder.write("c.toml", "[a]\nrun = \"data countdown\"\nout = \"a.jsonl\"\ncount = 3\n");
  fs::create_directories(w.path("c"));
  const FileLock lock(w.path("c/run.lock"));
  w.refused({"r1", "c.toml", "--out", "c"}, {"another temper is at work", "process "});
  w.refused({"rejection", "--teacher", "m", "--data", "prompts.jsonl", "--reward", "format",
             "--out", "c"},
            {"another temper is at work", "process "});
  w.refused({"rollout", "--model", "m", "--data", "prompts.jsonl", "--out", "c"},
            {"another temper is at work", "process "});
  w.refused({"replay", "reward", "c", "--reward", "format", "--write"},
            {"another temper is at work", "process "});
}

TEST_CASE(
    "verify-resume: a chain killed at random moments ends in the same files, stage by stage") {
  const MicroWorkshop w;
  w.folder.write("chain.toml", R"(
[sums]
run = "data arithmetic"
out = "sums.jsonl"
count = 8

[learn]
run = "sft"
model = "m"
data = ["sft.jsonl"]
batch_size = 4
max_steps = 4
save_every = 2

[explore]
run = "grpo"
model = "{learn}/model"
data = ["prompts.jsonl"]
reward = "regex(match=search;part=all)=1"
steps = 4
prompts_per_step = 2
samples_per_prompt = 4
max_new_tokens = 6
save_every = 2

[test]
run = "eval"
model = "{explore}/model"
data = ["{sums}"]
reward = "math"
max_new_tokens = 4
)");
  const std::string said = w.ends(
      0, {"verify-resume", "--out", "v", "--kills", "5", "--seed", "4", "--", "r1", "chain.toml"});
  INFO(said);
  for (const char* part : {"stages ", "sums.jsonl", "learn/model/model.safetensors",
                           "explore/samples", "explore/metrics", "test/evals", "curves.svg",
                           "killed 5 times", "every resumed run ended in the same bits"})
    CHECK(has(said, part));
  CHECK_FALSE(w.exists("v"));
}

TEST_CASE("verify-resume: folders that differ are told apart, file by file") {
  const MicroWorkshop w;
  const Arguments recipe = kMicroSft + Arguments{"--max-steps", "1"};
  w.ends(0, recipe + Arguments{"--out", "a/run"});
  fs::copy(w.path("a"), w.path("b"), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  w.folder.write("a/rows.jsonl", "one\n");
  w.folder.write("b/rows.jsonl", "two\n");
  CHECK(differing(compare_folders(w.path("a"), w.path("b"))) == "rows.jsonl ");
  flip_byte(w.path("b/run/model/model.safetensors"));
  fs::remove(w.path("b/rows.jsonl"));
  CHECK(differing(compare_folders(w.path("a"), w.path("b"))) ==
        "rows.jsonl run/model/model.safetensors ");
}

TEST_CASE("verify-resume: a recipe that fails or is none says so") {
  const MicroWorkshop w;
  w.refused({"verify-resume", "--out", "v", "--", "eval", "--model", "m"},
            {"sft, grpo, distill or r1"});
  w.refused({"verify-resume", "--out", "v", "--", "sft", "--out", "x"}, {"--out", "leave it out"});
  w.refused({"verify-resume", "--out", "v", "--", "sft", "--model", "absent", "--data", "x"},
            {"the recipe itself failed", "straight.log", "absent: not a model folder"});
  w.refused({"sft", "--", "x"}, {"unexpected argument", "--"});
}
