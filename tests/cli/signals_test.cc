// A training run that is told to stop, and one that is killed: what is left behind each time.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "core/error.h"
#include "data/store_reader.h"
#include "model/checkpoint/hf_folder.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"
#include "tests/support/run_binary.h"
#include "tests/support/temporary_folder.h"

using namespace temper;
namespace fs = std::filesystem;

namespace {

// The binary, running beside the test; killed at scope exit if it still runs.
class RunningTemper {
 public:
  RunningTemper(Arguments arguments, const fs::path& where) {
    arguments.insert(arguments.begin(), test::temper_binary());
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const std::string folder = where.string(), log = (where / "log").string();
    child_ = fork();
    if (child_ == 0) {
      const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      if (dup2(fd, 1) == 1 && dup2(fd, 2) == 2 && chdir(folder.c_str()) == 0)
        execv(argv[0], argv.data());
      _exit(127);
    }
    REQUIRE(child_ > 0);
  }
  ~RunningTemper() {
    if (child_ > 0) end(SIGKILL);
  }
  RunningTemper(const RunningTemper&) = delete;
  RunningTemper& operator=(const RunningTemper&) = delete;

  bool runs() const { return kill(child_, 0) == 0 && waitpid(child_, nullptr, WNOHANG) == 0; }
  // Sends the signal and waits; the exit code, or 128 + the signal that ended it.
  int end(int signal) {
    kill(child_, signal);
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t child_ = -1;
};

// The committed steps, read by a second process while the first one writes.
int64_t steps_so_far(const fs::path& run, const std::string& kind) {
  if (!fs::exists(run / kStoreFile)) return 0;
  try {
    Database database = open_for_reading(run);
    return static_cast<int64_t>(read_steps(database, 1, kind).size());
  } catch (const UserError&) {
    return 0;  // the file is there and its tables are not yet
  }
}

void wait_for_steps(const RunningTemper& program, const fs::path& run, const std::string& kind,
                    int64_t steps) {
  using namespace std::chrono_literals;
  for (int i = 0; i < 6000 && program.runs() && steps_so_far(run, kind) < steps; ++i)
    std::this_thread::sleep_for(10ms);
  REQUIRE(steps_so_far(run, kind) >= steps);
}

void wait_for_run(const RunningTemper& program, const fs::path& run) {
  const auto begun = [&] {
    try {
      Database database = open_for_reading(run);
      return !read_runs(database).empty();
    } catch (const UserError&) {
      return false;
    }
  };
  for (int i = 0; i < 6000 && program.runs() && !begun(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  REQUIRE(begun());
}

struct Workshop {
  TemporaryFolder folder;
  fs::path run = folder.path() / "r";

  Workshop() {
    const auto done = [&](const Arguments& arguments) {
      REQUIRE(run_program(test::temper_binary(), arguments, folder.path()).exit_code == 0);
    };
    done({"model", "init", "--preset", "tiny", "--out", "init"});
    done({"data", "countdown", "--out", "train.jsonl", "--count", "50", "--demonstrations"});
  }
  // Every step up to the last is there, and every checkpoint's folder loads.
  void check_whole(const std::string& kind, const std::string& status, bool last_is_saved) const {
    Database database = open_for_reading(run);
    CHECK(read_runs(database).at(0).status == status);
    const std::vector<StepRow> steps = read_steps(database, 1, kind);
    for (size_t i = 0; i < steps.size(); ++i) {
      CHECK(steps[i].key.step == static_cast<int64_t>(i + 1));
      CHECK(steps[i].committed > 0);
    }
    const std::vector<CheckpointRow> saved = read_checkpoints(database, 1);
    REQUIRE_FALSE(saved.empty());
    if (last_is_saved) CHECK(saved.back().key.step == static_cast<int64_t>(steps.size()));
    Context ctx(1);
    for (const CheckpointRow& row : saved) load_model(ctx, run / row.path, DType::f32);
    CHECK(database.value<std::string>("PRAGMA integrity_check") == "ok");
  }
};

constexpr int kInterrupted = 130;

}  // namespace

TEST_CASE("signals: sft that is told to stop ends at a step, with its checkpoint") {
  const Workshop w;
  RunningTemper program({"sft", "--model", "init", "--data", "train.jsonl", "--out", "r",
                         "--batch-size", "2", "--max-steps", "100000"},
                        w.folder.path());
  wait_for_steps(program, w.run, "sft", 2);
  CHECK(program.end(SIGTERM) == kInterrupted);
  w.check_whole("sft", "interrupted", true);
  CHECK(fs::exists(w.run / "model/model.safetensors"));
}

TEST_CASE("signals: grpo that is told to stop ends at a step, with its checkpoint") {
  const Workshop w;
  RunningTemper program({"grpo", "--model", "init", "--data", "train.jsonl", "--reward", "format=1",
                         "--out", "r", "--steps", "100000", "--prompts-per-step", "2",
                         "--samples-per-prompt", "2", "--max-new-tokens", "24"},
                        w.folder.path());
  wait_for_steps(program, w.run, "grpo", 2);
  CHECK(program.end(SIGINT) == kInterrupted);
  w.check_whole("grpo", "interrupted", true);
  CHECK(fs::exists(w.run / "model/model.safetensors"));
}

TEST_CASE("signals: a killed run has every committed step and whole checkpoints") {
  const Workshop w;
  RunningTemper program({"sft", "--model", "init", "--data", "train.jsonl", "--out", "r",
                         "--batch-size", "2", "--max-steps", "100000", "--save-every", "1"},
                        w.folder.path());
  wait_for_steps(program, w.run, "sft", 6);
  CHECK(program.end(SIGKILL) == 128 + SIGKILL);
  w.check_whole("sft", "running", true);  // each step and its checkpoint commit together
  // Old ones went while the run went on: the two to keep, the new one, one being removed, one torn.
  const fs::directory_iterator folders(w.run / "checkpoints");
  CHECK(std::distance(fs::begin(folders), fs::end(folders)) <= 5);
}

TEST_CASE("signals: an evaluation that is told to stop keeps its samples and records no result") {
  const Workshop w;
  RunningTemper program({"eval", "--model", "init", "--data", "train.jsonl", "--reward", "format",
                         "--samples", "4000", "--max-new-tokens", "4", "--out", "r"},
                        w.folder.path());
  wait_for_run(program, w.run);
  CHECK(program.end(SIGINT) == kInterrupted);
  Database database = open_for_reading(w.run);
  CHECK(read_runs(database).at(0).status == "interrupted");
  CHECK(database.value<int64_t>("SELECT count(*) FROM evals") == 0);
}

TEST_CASE("signals: a query that goes on and on is ended by the first signal") {
  const TemporaryFolder folder;
  { const Store empty(folder.path() / "r"); }
  RunningTemper program({"inspect", "sql", "r",
                         "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT "
                         "100000000) SELECT max(x) FROM n"},
                        folder.path());
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  CHECK(program.end(SIGTERM) == 128 + SIGTERM);
}
