// The table of equal and unequal answers, form by form, and what follows from it.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <sstream>

#include "core/file.h"
#include "reward/math/checker.h"
#include "reward/math/extract.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"

using namespace temper;

namespace {

struct Pair {
  std::string form, gold, answer;
  bool equal = false;
};

void read_pairs_of(const std::string& name, std::vector<Pair>& pairs) {
  std::istringstream file(read_file(test::source_dir() + "/tests/reward/" + name));
  std::string line, form;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    const size_t equal = line.find(" <=> "), unequal = line.find(" <!> ");
    if (line[0] == '[' && equal == std::string::npos && unequal == std::string::npos) {
      form = line;
      continue;
    }
    const size_t at = std::min(equal, unequal);
    REQUIRE(at != std::string::npos);
    pairs.push_back({form, line.substr(0, at), line.substr(at + 5), equal != std::string::npos});
  }
}

std::vector<Pair> read_pairs() {
  std::vector<Pair> pairs;
  for (const char* name : {"math_pairs.txt", "math_pairs_constants.txt", "math_pairs_readings.txt",
                           "math_pairs_models.txt"}) {
    read_pairs_of(name, pairs);
  }
  return pairs;
}

}  // namespace

TEST_CASE("answers are equal and unequal as the table says") {
  int right = 0, total = 0;
  for (const Pair& pair : read_pairs()) {
    INFO(pair.form << " " << pair.gold << (pair.equal ? " <=> " : " <!> ") << pair.answer);
    const bool same = same_math(pair.gold, pair.answer);
    CHECK(same == pair.equal);
    right += same == pair.equal ? 1 : 0;
    ++total;
  }
  INFO(right << " of " << total);
  CHECK(total >= 450);
  CHECK(right * 100 >= total * 98);
}

TEST_CASE("whole completions are right and wrong as the table says") {
  std::vector<Pair> completions;
  read_pairs_of("math_completions.txt", completions);
  CHECK(completions.size() > 90);
  for (Pair& pair : completions) {
    constexpr std::string_view kBreak = "\xE2\x8F\x8E";
    for (size_t at = pair.answer.find(kBreak); at != std::string::npos;
         at = pair.answer.find(kBreak)) {
      pair.answer.replace(at, kBreak.size(), "\n");
    }
    INFO(pair.form << " " << pair.gold << (pair.equal ? " <=> " : " <!> ") << pair.answer);
    CHECK((check_math(pair.gold, pair.answer, {}).status == VerdictStatus::ok) == pair.equal);
  }
}

TEST_CASE("every gold of the table equals itself, boxed too") {
  for (const Pair& pair : read_pairs()) {
    if (pair.form == "[malformed and hostile]") continue;
    INFO(pair.gold);
    CHECK(same_math(pair.gold, pair.gold));
    CHECK(check_math(pair.gold, "so \\boxed{" + pair.gold + "}.", {}).status == VerdictStatus::ok);
  }
}

// Run by name: build/test_reward "[.bench]". The figures stand in docs/performance.md.
TEST_CASE("time of a maths check", "[.bench]") {
  std::vector<double> best;
  for (const Pair& pair : read_pairs()) {
    double fastest = 1e9;
    for (int run = 0; run < 5; ++run) {
      const auto start = std::chrono::steady_clock::now();
      same_math(pair.gold, pair.answer);
      const std::chrono::duration<double, std::micro> took =
          std::chrono::steady_clock::now() - start;
      fastest = std::min(fastest, took.count());
    }
    best.push_back(fastest);
  }
  std::sort(best.begin(), best.end());
  const auto at = [&](double share) {
    return best[static_cast<size_t>(share * static_cast<double>(best.size() - 1))];
  };
  std::cout << best.size() << " checks: p50 " << at(0.5) << " us, p90 " << at(0.9) << ", p99 "
            << at(0.99) << ", max " << at(1) << "\n";
  CHECK(at(0.5) < 50);
  CHECK(at(0.99) < 2000);
}

TEST_CASE("a changed answer is no longer equal") {
  // Metamorphic: what equals the gold, plus one, does not; nor does it in another sign.
  for (const char* gold : {"72", "\\frac{1}{2}", "2\\sqrt{3}", "6\\pi", "x^2+x", "\\frac{1}{2-x}",
                           "3+5i", "\\log_3 5", "2^{-99}", "1-1/e", "\\sqrt{1/n}"}) {
    INFO(gold);
    const std::string text = gold;
    CHECK(same_math(gold, "(" + text + ")+0"));
    CHECK(same_math(gold, "-(-(" + text + "))"));
    CHECK(same_math(gold, "\\frac{3(" + text + ")}{3}"));
    CHECK(same_math(gold, "(" + text + ")^{3} / (" + text + ")^{2}"));
    CHECK_FALSE(same_math(gold, "(" + text + ")+1"));
    CHECK_FALSE(same_math(gold, "(" + text + ")+10^{-30}"));
    CHECK_FALSE(same_math(gold, "-(" + text + ")"));
    CHECK_FALSE(same_math(gold, "2(" + text + ")"));
  }
}
