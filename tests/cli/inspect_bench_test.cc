// How long `temper inspect` takes on a long run, in seconds of the CPU. Not part of the tests:
// build/test_cli "[bench]"
#include <sys/resource.h>

#include "data/store.h"
#include "tests/data/store_fixture.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"
#include "tests/support/run_binary.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

namespace {

// 200 steps of 64 groups of 8 samples, 300 tokens each, two rewards, 60 metrics: made by SQL alone.
void fill(const std::filesystem::path& folder) {
  Store store(folder);
  const int64_t run = store.begin_run(small_run());
  REQUIRE(run == 1);
  store.database().run_script(R"sql(
    BEGIN;
    CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n
      WHERE i < 102399) SELECT i FROM n;
    INSERT INTO steps SELECT 1, 'grpo', i + 1, i, 1e9 + i, 1e9 + i + 1, 1.0, 100, 100, NULL
      FROM n WHERE i < 200;
    INSERT INTO prompts SELECT i + 1, 1, 'p' || i, printf('%.400c', 'x'), zeroblob(400), 'a', '{}'
      FROM n WHERE i < 3200;
    INSERT INTO samples (run_id, kind, step, group_index, sample_index, prompt_id, policy_version,
        tokens, finish_reason, reward, advantage, zero_signal, truncated, completion, ids,
        rollout_logprobs, trainer_logprobs, reference_logprobs, entropies)
      SELECT 1, 'grpo', i / 512 + 1, i / 8 % 64, i % 8, i / 8 % 3200 + 1, i / 512, 200 + i % 101,
        CASE WHEN i % 10 THEN 'stop' ELSE 'length' END, (i * 7919 % 1000) / 1000.0,
        (i * 7919 % 1000) / 500.0 - 1, i / 8 % 5 = 0, i % 10 = 0, printf('%.900c', 'a') || i,
        zeroblob(1200), zeroblob(1200), zeroblob(1200), zeroblob(1200), zeroblob(1200) FROM n;
    INSERT INTO rewards SELECT i + 1, 'math', i % 2, 1.0, 1,
        CASE WHEN i % 2 THEN 'ok' ELSE 'wrong' END, 'x', NULL, 10 FROM n;
    INSERT INTO rewards SELECT i + 1, 'format', 1, 0.2, 1, 'ok', NULL, NULL, 1 FROM n;
    INSERT INTO metrics SELECT 1, 'grpo', s.i + 1, 'metric/' || m.i, s.i * m.i
      FROM n s, n m WHERE s.i < 200 AND m.i < 60;
    COMMIT;
  )sql");
}

// What the programs that have ended took of the CPU. Units: s.
double seconds_of_children() {
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

TEST_CASE("bench: inspect on 102,400 samples", "[.][bench]") {
  const TemporaryFolder folder;
  fill(folder.path());
  const std::string run = folder.path();
  const std::vector<Arguments> commands = {
      {"runs", run},
      {"curve", run},
      {"samples", run, "--best", "5"},
      {"samples", run, "--worst", "5", "--step", "150"},
      {"samples", run, "--longest", "5"},
      {"samples", run, "--truncated", "--count", "5"},
      {"samples", run, "--disagreeing", "--best", "5"},
      {"samples", run, "--gold-not-in-text"},
      {"sample", run, "70000"},
      {"groups", run, "--zero-signal"},
      {"verdicts", run},
      {"diff", run, "--steps", "1-50,151-200"},
      {"diff", run},
      {"diff", run, "--prompt", "p17"},
      {"events", run},
      {"lineage", run},
      {"sql", run, "SELECT step, avg(reward) FROM samples WHERE run_id = 1 GROUP BY step"}};
  for (const Arguments& command : commands) {
    const double start = seconds_of_children();
    const ProgramResult result = run_program(test::temper_binary(), Arguments{"inspect"} + command);
    const double seconds = seconds_of_children() - start;
    std::string line;
    for (const std::string& word : command) line += (word == run ? "RUN" : word) + " ";
    INFO(line << result.err);
    REQUIRE(result.exit_code == 0);
    REQUIRE(result.out.size() > 10);
    WARN(line << "  " << seconds << " s");
    CHECK(seconds < 1.0);
  }
}
