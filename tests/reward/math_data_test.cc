// Real golds against real solutions: every gold equals its own solution's answer, and no
// neighbour's by accident. Skipped, saying so, where the data is absent.
#include <filesystem>
#include <sstream>

#include "core/file.h"
#include "core/json.h"
#include "reward/math/checker.h"
#include "reward/math/extract.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"

using namespace temper;

namespace {

struct Problem {
  std::string gold, solution;
};

const std::filesystem::path kData = std::filesystem::path(test::source_dir()) / "../shared/data";

std::vector<Problem> read_problems(const std::string& file, const char* gold,
                                   const char* solution) {
  std::vector<Problem> problems;
  if (!std::filesystem::exists(kData / file)) {
    WARN("skipped: ../shared/data/" << file << " is not here");
    return problems;
  }
  std::istringstream lines(read_file(kData / file));
  std::string line;
  while (std::getline(lines, line)) {
    const Json row = parse_json(line, file);
    problems.push_back(
        {find_member(row, gold)->GetString(), find_member(row, solution)->GetString()});
  }
  return problems;
}

// Seven solutions box two answers where the gold names the second only, two write \% behind the
// box, one "times pi", one a difference that the box ends. As far as a rule can tell they say
// something else than the gold, so `disputed` of them are expected to be wrong.
void check_problems(const std::vector<Problem>& problems, int disputed) {
  int accidents = 0, rejected = 0;
  for (size_t i = 0; i < problems.size(); ++i) {
    const Problem& p = problems[i];
    const Problem& next = problems[(i + 1) % problems.size()];
    INFO(p.gold << "\n" << p.solution);
    const Verdict verdict = check_math(p.gold, p.solution, {});
    if (verdict.status != VerdictStatus::ok) {
      ++rejected;
      UNSCOPED_INFO(p.gold << " and " << verdict.extracted << ": " << verdict.reason);
    }
    CHECK(check_math(p.gold, "<think>x</think><answer>" + p.gold + "</answer>", {}).value == 1.0);
    std::string reason;
    const auto own = gold_answer(p.gold, reason), other = final_answer(next.solution, reason);
    REQUIRE(own);
    if (!other) continue;
    const bool same = check_math(p.gold, next.solution, {}).value == 1.0;
    // Where a neighbour passes, it does have the same answer, written the same way or nearly so.
    if (same && own->text != other->text) {
      ++accidents;
      UNSCOPED_INFO("neighbour: " << own->text << " and " << other->text);
    }
  }
  CHECK(rejected == (problems.empty() ? 0 : disputed));
  CHECK(accidents <= static_cast<int>(problems.size() / 500));
}

}  // namespace

TEST_CASE("every GSM8K gold equals its solution and not its neighbour's") {
  check_problems(read_problems("gsm8k/test.jsonl", "answer", "answer"), 0);
}

TEST_CASE("every GSM8K gold to train on equals its solution and not its neighbour's") {
  check_problems(read_problems("gsm8k/train.jsonl", "answer", "answer"), 0);
}

TEST_CASE("every MATH gold equals its solution and not its neighbour's") {
  check_problems(read_problems("math/train_4500.jsonl", "answer", "solution"), 11);
}
