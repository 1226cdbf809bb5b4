// HumanEval and MBPP: every reference solution passes, and fails with one line broken.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <sstream>

#include "core/file.h"
#include "reward/composite.h"
#include "tests/reward/code/sealed.h"
#include "tests/support/catch.h"
#include "tests/support/run_binary.h"
#include "tests/support/shared.h"

using namespace temper;
using namespace temper::test;

namespace {

std::string field(const Json& row, const char* name) {
  const JsonValue* value = find_member(row, name);
  return value != nullptr && value->IsString() ? value->GetString() : "";
}

std::vector<Json> read_rows(const std::string& text) {
  std::vector<Json> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) rows.push_back(parse_json(line, "row"));
  }
  return rows;
}

std::string reference_of(const Json& row) {
  const std::string code = field(row, "code");
  return code.empty() ? field(row, "prompt") + field(row, "canonical_solution") : code;
}

// The program with line `broken` (counted from its end, among its return lines) returning another
// value; a program that raises if it has no such line.
std::string broken_program(const std::string& program, size_t broken) {
  std::vector<std::string> lines;
  std::istringstream text(program);
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  for (size_t i = lines.size(); i-- > 0;) {
    const size_t indent = lines[i].find_first_not_of(" \t");
    if (indent == std::string::npos || lines[i].compare(indent, 6, "return") != 0) continue;
    if (broken-- > 0) continue;
    lines[i] = lines[i].substr(0, indent) + "return 'broken'; " + lines[i].substr(indent);
    std::string joined;
    for (const std::string& line : lines) joined += line + "\n";
    return joined;
  }
  return "raise ValueError";
}

class DataJudge {
 public:
  DataJudge()
      : reward_(parse_reward_spec("code(seconds=60; wall=200; at_once=1)", "test"), builtin_rules(),
                "test") {}

  std::vector<Verdict> judge(const std::vector<const Json*>& rows,
                             const std::vector<std::string>& programs) {
    std::vector<std::string> completions;
    for (const std::string& program : programs) {
      completions.push_back("```python\n" + program + "\n```");
    }
    std::vector<RewardInput> inputs;
    for (size_t i = 0; i < rows.size(); ++i) {
      inputs.push_back({.completion = completions[i], .row = rows[i]});
    }
    std::vector<Verdict> verdicts;
    for (const RewardResult& result : score_all(pool_, reward_, inputs)) {
      verdicts.push_back(result.components[0].verdict);
    }
    return verdicts;
  }

 private:
  ThreadPool pool_;
  CompositeReward reward_;
};

void check_references(const std::vector<Json>& rows) {
  DataJudge judge;
  std::vector<std::string> programs;
  std::vector<const Json*> all;
  for (const Json& row : rows) {
    all.push_back(&row);
    programs.push_back(reference_of(row));
  }
  std::vector<Verdict> verdicts = judge.judge(all, programs);
  for (size_t i = 0; i < rows.size(); ++i) {
    INFO(to_text(rows[i]).substr(0, 200) << "\n" << verdicts[i].reason);
    CHECK(verdicts[i].status == VerdictStatus::ok);
  }
  // A return that the tests never reach is no break: then the one above it is broken.
  std::vector<size_t> unbroken(rows.size());
  std::iota(unbroken.begin(), unbroken.end(), 0);
  for (size_t line = 0; line < 8 && !unbroken.empty(); ++line) {
    std::vector<const Json*> some;
    programs.clear();
    for (const size_t i : unbroken) {
      some.push_back(&rows[i]);
      programs.push_back(broken_program(reference_of(rows[i]), line));
    }
    verdicts = judge.judge(some, programs);
    std::vector<size_t> left;
    for (size_t k = 0; k < some.size(); ++k) {
      INFO(to_text(*some[k]).substr(0, 200) << "\n" << programs[k]);
      if (verdicts[k].status == VerdictStatus::ok) {
        left.push_back(unbroken[k]);
      } else {
        CHECK(verdicts[k].status == VerdictStatus::wrong);
        CHECK(verdicts[k].value == 0.0);
      }
    }
    unbroken = left;
  }
  CHECK(unbroken.empty());
}

}  // namespace

TEST_CASE("code: all reference solutions of HumanEval pass, and fail with one line broken") {
  const auto file = shared_data_dir() / "humaneval/HumanEval.jsonl.gz";
  if (!present(file) || !present("/usr/bin/gzip") || !sealed_sandbox()) return;
  const ProgramResult unpacked = run_program("/usr/bin/gzip", {"-dc", file.string()});
  REQUIRE(unpacked.exit_code == 0);
  const std::vector<Json> rows = read_rows(unpacked.out);
  REQUIRE(rows.size() == 164);
  check_references(rows);
}

TEST_CASE("code: all reference solutions of MBPP pass, and fail with one line broken") {
  const auto file = shared_data_dir() / "mbpp/mbpp.jsonl";
  if (!present(file) || !sealed_sandbox()) return;
  const std::vector<Json> rows = read_rows(read_file(file));
  REQUIRE(rows.size() == 974);
  check_references(rows);
}
