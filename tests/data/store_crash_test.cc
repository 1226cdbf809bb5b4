// What other processes see while a step is written, and what is left when the writer dies.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "data/store_reader.h"
#include "tests/data/store_fixture.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

namespace {

// Enough rows that SQLite's page cache spills into the log before the commit.
void write_much(StepWriter& writer, int64_t samples) {
  const std::vector<int32_t> ids(3000, 7);
  const std::vector<float> logprobs(3000, -1.0f);
  const int64_t prompt = writer.add_prompt({.key = "long", .text = "t", .ids = ids});
  for (int64_t i = 0; i < samples; ++i) {
    writer.add_sample({.prompt_id = prompt,
                       .sample_index = i,
                       .completion = "x",
                       .finish_reason = "stop",
                       .ids = ids,
                       .rollout_logprobs = logprobs});
  }
}

int run_child(const std::filesystem::path& folder, bool commit) {
  const pid_t child = fork();
  if (child == 0) {
    try {
      Store store(folder, OpenMode::write);
      StepWriter writer(store, {1, "grpo", 2}, 1);
      write_much(writer, 400);
      if (commit) writer.commit({});
      kill(getpid(), SIGKILL);
    } catch (...) {
    }
    _exit(1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

}  // namespace

TEST_CASE("a reader sees the last committed step while the next one is open") {
  const TemporaryFolder folder;
  Store store(folder.path());
  const int64_t run = store.begin_run(small_run());
  write_small_step(store, run, 1);
  StepWriter writer(store, {run, "grpo", 2}, 1);
  write_much(writer, 400);
  Database reader = open_for_reading(folder.path());
  REQUIRE(last_step(reader, run, "grpo")->key.step == 1);
  REQUIRE(reader.value<int>("SELECT count(*) FROM samples") == 4);
  writer.commit({});
  REQUIRE(last_step(reader, run, "grpo")->key.step == 2);
  REQUIRE(reader.value<int>("SELECT count(*) FROM samples") == 404);
}

TEST_CASE("a long read does not stop the writer and keeps its own picture") {
  const TemporaryFolder folder;
  Store store(folder.path());
  const int64_t run = store.begin_run(small_run());
  write_small_step(store, run, 1);
  Database reader = open_for_reading(folder.path());
  reader.execute("BEGIN");
  REQUIRE(reader.value<int>("SELECT count(*) FROM steps") == 1);
  write_small_step(store, run, 2);
  REQUIRE(reader.value<int>("SELECT count(*) FROM steps") == 1);
  reader.execute("COMMIT");
  REQUIRE(reader.value<int>("SELECT count(*) FROM steps") == 2);
}

TEST_CASE("kill -9 inside a step leaves the last committed step, after it keeps both") {
  const TemporaryFolder folder;
  {
    Store store(folder.path());
    write_small_step(store, store.begin_run(small_run()), 1);
  }
  for (const bool commit : {false, true}) {
    const int status = run_child(folder.path(), commit);
    REQUIRE(WIFSIGNALED(status));
    REQUIRE(WTERMSIG(status) == SIGKILL);
    Store store(folder.path(), OpenMode::write);
    Database& db = store.database();
    REQUIRE(db.value<std::string>("PRAGMA integrity_check") == "ok");
    REQUIRE(last_step(db, 1, "grpo")->key.step == (commit ? 2 : 1));
    REQUIRE(db.value<int>("SELECT count(*) FROM samples") == (commit ? 404 : 4));
    REQUIRE(db.value<int>("SELECT count(*) FROM prompts") == (commit ? 3 : 2));
    REQUIRE(read_run(db, 1)->status == "running");
  }
}

TEST_CASE("the sqlite3 shell reads the database while a step is open") {
  if (std::system("command -v sqlite3 >/dev/null 2>&1") != 0) {
    WARN("skipped: no sqlite3 shell here");
    return;
  }
  const TemporaryFolder folder;
  Store store(folder.path());
  const int64_t run = store.begin_run(small_run());
  write_small_step(store, run, 1);
  StepWriter writer(store, {run, "grpo", 2}, 1);
  const std::string command = "sqlite3 '" + (folder.path() / kStoreFile).string() +
                              "' 'SELECT count(*), hex(ids) FROM samples'";
  FILE* pipe = popen(command.c_str(), "r");
  char line[200] = "";
  REQUIRE(std::fgets(line, sizeof line, pipe) != nullptr);
  REQUIRE(pclose(pipe) == 0);
  REQUIRE(std::string(line) == "4|050000000600000007000000\n");
  writer.commit({});
}
