// What stands in a run's way: a full disk, a folder that cannot be written to, databases that are
// somebody else's, and inputs from which nothing can be learned.
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>

#include "core/file.h"
#include "data/migrations.h"
#include "data/store_reader.h"
#include "tests/cli/micro_workshop.h"
#include "tests/support/catch.h"

using namespace temper;
using test::differing;
using test::kMicroSft;
using test::MicroWorkshop;
namespace fs = std::filesystem;

namespace {

// A small file system of its own, where this process may make one.
class SmallDisk {
 public:
  SmallDisk(const fs::path& at, const std::string& options) : at_(at) {
    fs::create_directories(at);
    mounted_ = ::mount("tmpfs", at.c_str(), "tmpfs", 0, options.c_str()) == 0;
    if (!mounted_) WARN("no file system may be mounted here: skipped");
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(at_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const { return mounted_; }
  bool remount(unsigned long flags, const std::string& options) const {
    return ::mount("tmpfs", at_.c_str(), "tmpfs", MS_REMOUNT | flags, options.c_str()) == 0;
  }

 private:
  fs::path at_;
  bool mounted_ = false;
};

}  // namespace

TEST_CASE("trust: a disk that fills up ends the run in words, and with space it goes on") {
  const MicroWorkshop w;
  const SmallDisk disk(w.path("disk"), "size=900k");
  if (!disk.mounted()) return;
  const Arguments recipe =
      kMicroSft + Arguments{"--max-steps", "5", "--save-every", "1", "--keep", "9"};
  w.refused(recipe + Arguments{"--out", "disk/r"}, {"free some space"}, 1);
  {
    // What was committed before is whole.
    Database db = open_for_reading(w.path("disk/r"));
    CHECK(db.value<std::string>("PRAGMA integrity_check") == "ok");
    for (const CheckpointRow& row : read_checkpoints(db, 1))
      CHECK(fs::exists(w.path("disk/r") / row.path / "checksums.xxh64"));
  }
  REQUIRE(disk.remount(0, "size=20m"));
  w.ends(0, recipe + Arguments{"--resume", "--out", "disk/r"});
  w.ends(0, recipe + Arguments{"--out", "straight"});
  CHECK(differing(w.path("straight"), w.path("disk/r")).empty());
}

TEST_CASE("trust: a limit on the size of files is an error in words, not a death by signal") {
  const MicroWorkshop w;
  const ProgramResult result =
      run_program("/bin/sh",
                  {"-c", "ulimit -f 100; exec \"$0\" \"$@\"", test::temper_binary(), "sft",
                   "--model", "m", "--data", "sft.jsonl", "--max-steps", "2", "--out", "r"},
                  w.folder.path());
  INFO(result.err);
  CHECK(result.exit_code == 1);
  CHECK(result.err.find("free some space (or raise the limit on files)") != std::string::npos);
}

TEST_CASE("trust: a folder that cannot be written to is said before the first step") {
  const MicroWorkshop w;
  const SmallDisk disk(w.path("disk"), "size=1m");
  if (!disk.mounted()) return;
  fs::create_directories(w.path("disk/r"));
  REQUIRE(disk.remount(MS_RDONLY, ""));
  for (const char* out : {"disk/new", "disk/r"}) {
    const ProgramResult result = w.run(kMicroSft + Arguments{"--max-steps", "2", "--out", out});
    INFO(result.err);
    CHECK((result.exit_code == 1 || result.exit_code == 2));
    CHECK(result.err.find("folder that can be written to") != std::string::npos);
    CHECK(result.err.find("sft: ") == std::string::npos);
  }
  w.folder.write("chain.toml", "[m]\nrun = \"model init\"\npreset = \"tiny-dense\"\n");
  const Arguments teach{"--teacher", "m", "--data", "prompts.jsonl", "--reward", "regex=1"};
  for (const Arguments& command :
       {Arguments{"rejection", "--out", "disk/d"} + teach,
        Arguments{"r1", "chain.toml", "--out", "disk/d"},
        Arguments{"quickstart", "--out", "disk/d"},
        Arguments{"model", "init", "--preset", "tiny-dense", "--out", "disk/d"},
        Arguments{"rollout", "--model", "m", "--data", "prompts.jsonl", "--jsonl", "disk/d"}})
    w.refused(command, {"disk/d", "Read-only file system", "folder that can be written to"}, 1);
}

TEST_CASE("trust: another program's database and a newer one are left as they are") {
  const MicroWorkshop w;
  const Arguments resume{"sft", "--resume", "--out", "r"};
  fs::create_directories(w.path("r"));
  {
    Database db(w.path("r/run.db"), OpenMode::create);
    db.run_script("CREATE TABLE birds (name TEXT)");
  }
  w.refused(resume, {"not a Temper run's", "run.db"});
  w.refused(kMicroSft + Arguments{"--out", "r"}, {"in use", "run.db"});
  w.folder.write("r/run.db", "these are no tables but a text");
  w.refused(resume, {"not a SQLite database"});
  fs::remove_all(w.path("r"));
  w.ends(0, kMicroSft + Arguments{"--max-steps", "1", "--out", "r"});
  {
    Database db(w.path("r/run.db"), OpenMode::write);
    db.run_script("PRAGMA user_version=9999");
  }
  w.refused(resume, {"newer than this temper", "schema 9999"});
  w.refused({"inspect", "runs", "r"}, {"newer than this temper"});
}

TEST_CASE("trust: a database that another program keeps locked is said with the mend") {
  const MicroWorkshop w;
  Database first(w.path("locked.db"), OpenMode::create, 1);
  migrate(first);
  const Transaction open(first);
  Database second(w.path("locked.db"), OpenMode::write, 1);
  CHECK_THROWS_WITH(Transaction(second), Contains("another process is writing"));
}

TEST_CASE("trust: what cannot be learned from is refused before the first step") {
  const MicroWorkshop w;
  const Arguments grpo{"grpo",     "--model",  "m",     "--data", "prompts.jsonl",
                       "--reward", "format=1", "--out", "r"};
  w.folder.write("none.jsonl", "\n");
  w.refused({"sft", "--model", "m", "--data", "none.jsonl", "--out", "r"},
            {"none.jsonl", "0 rows", "completion"});
  w.refused({"grpo", "--model", "m", "--data", "none.jsonl", "--reward", "format=1", "--out", "r"},
            {"none.jsonl", "0 rows", "gold"});
  w.refused(grpo + Arguments{"--samples-per-prompt", "1"},
            {"group of one sample", "sample 2 or more"});
  std::string words;
  for (int i = 0; i < 300; ++i) words += "word ";
  w.folder.write("long.jsonl", "{\"prompt\":\"a\"}\n{\"prompt\":\"" + words + "\"}\n");
  w.refused({"grpo", "--model", "m", "--data", "long.jsonl", "--reward", "format=1", "--out", "r",
             "--max-prompt-tokens", "5000"},
            {"long.jsonl:2", "no room for a completion", "fewer than 256", "--max-prompt-tokens"});
  w.folder.write("ids.jsonl", "{\"ids\":[1,2]}\n{\"ids\":[1,70000]}\n");
  w.refused({"sft", "--model", "m", "--data", "ids.jsonl", "--out", "r"}, {"ids.jsonl:2", "70000"});
  w.refused({"grpo", "--model", "m", "--data", "ids.jsonl", "--reward", "format=1", "--out", "r"},
            {"ids.jsonl:2", "70000"});
  w.refused(
      grpo + Arguments{"--prompts-per-step", "100000000", "--micro-batch-tokens", "2000000000"},
      {"memory", "--micro-batch-tokens"});
  CHECK_FALSE(w.exists("r"));
}

TEST_CASE("trust: completions longer than the context are cut there, said and planned so") {
  const MicroWorkshop w;
  const std::string said =
      w.ends(0, {"grpo", "--model", "m", "--data", "prompts.jsonl", "--reward", "exact=1", "--out",
                 "r", "--steps", "1", "--prompts-per-step", "1", "--samples-per-prompt", "2",
                 "--max-new-tokens", "100000"});
  CHECK(said.find("more than the model's context of 256 tokens leaves to 12 of 12 prompts") !=
        std::string::npos);
  CHECK(said.find("rollout KV cache                    0.") != std::string::npos);
}

TEST_CASE("trust: samples that cannot differ are said to be the same") {
  const MicroWorkshop w;
  const std::string said =
      w.ends(0, {"eval", "--model", "m", "--data", "prompts.jsonl", "--reward", "exact", "--limit",
                 "1", "--samples", "2", "--temperature", "0", "--max-new-tokens", "2"});
  CHECK(said.find("the 2 samples of a problem are all the same") != std::string::npos);
}

TEST_CASE("trust: a constant reward and a model that never stops are said at the first step") {
  const MicroWorkshop w;
  w.folder.write("flat.jsonl", "{\"prompt\":\"a\",\"gold\":\"never this text at all\"}\n");
  const std::string said = w.ends(0, {"grpo", "--model", "m", "--data", "flat.jsonl", "--reward",
                                      "exact=1", "--out", "r", "--steps", "2", "--prompts-per-step",
                                      "1", "--samples-per-prompt", "2", "--max-new-tokens", "3"});
  CHECK(said.find("no prompt had unequal rewards") != std::string::npos);
  CHECK(said.find("--max-new-tokens 3: the model never stops") != std::string::npos);
  Database db = open_for_reading(w.path("r"));
  CHECK(db.value<int>("SELECT count(*) FROM events WHERE level = 'warning' AND step = 1") == 2);
}
