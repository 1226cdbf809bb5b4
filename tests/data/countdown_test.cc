#include "data/tasks/countdown.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/json.h"
#include "data/tasks/arithmetic.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

std::string problem_key(const CountdownProblem& problem) {
  std::multiset<int64_t> numbers(problem.numbers.begin(), problem.numbers.end());
  std::string key;
  for (const int64_t n : numbers) key += std::to_string(n) + ",";
  return key + "=" + std::to_string(problem.target);
}

}  // namespace

TEST_CASE("expressions compute what their text says") {
  Random random(7, RandomStream::data);
  const Expression e = Expression::random({3, 7, 2}, "-", 100, random);
  // With '-' alone and the larger part on the left, every tree over 3, 7, 2 is one of these.
  const std::set<std::string> possible = {"7-3-2", "7-2-3", "7-(3-2)"};
  CHECK(possible.count(e.text()) == 1);
  CHECK(e.steps().size() == 2);
  CHECK(e.steps().back().result == e.value());
  CHECK(e.text_after(2) == std::to_string(e.value()));
}

TEST_CASE("countdown problems are reachable, in range and the same for the same seed") {
  CountdownOptions options;
  options.count = 4;
  options.ops = "+-*/";
  for (uint32_t i = 0; i < 500; ++i) {
    const CountdownProblem p = make_countdown(11, i, TaskSplit::train, options);
    CHECK(p.numbers.size() == 4);
    for (const int64_t n : p.numbers) CHECK((n >= options.min_number && n <= options.max_number));
    CHECK(p.solution.value() == p.target);
    CHECK((p.target >= options.min_target && p.target <= options.max_target));
    CHECK(problem_key(p) == problem_key(make_countdown(11, i, TaskSplit::train, options)));
  }
}

TEST_CASE("train and test problems never meet, whatever the seeds") {
  const CountdownOptions options;
  std::set<std::string> train, test;
  for (uint32_t i = 0; i < 3000; ++i) {
    train.insert(problem_key(make_countdown(i % 3, i, TaskSplit::train, options)));
    test.insert(problem_key(make_countdown(i % 5, i, TaskSplit::test, options)));
  }
  for (const std::string& key : test) CHECK(train.count(key) == 0);
  CHECK(test.size() > 200);
}

TEST_CASE("being held out does not depend on the order of the numbers") {
  for (int64_t target = 1; target < 200; ++target) {
    const bool held_out = is_held_out(CountdownProblem{{3, 7, 2}, target, {}});
    CHECK(held_out == is_held_out(CountdownProblem{{7, 2, 3}, target, {}}));
  }
}

TEST_CASE("about a tenth of the problems is held out") {
  int held_out = 0;
  for (int64_t target = 1; target <= 5000; ++target) {
    held_out += is_held_out(CountdownProblem{{3, 7, 2}, target, {}}) ? 1 : 0;
  }
  CHECK(held_out > 400);
  CHECK(held_out < 600);
}

TEST_CASE("demonstrations have R1's form and end right as often as asked") {
  const CountdownOptions options;
  DemonstrationOptions how;
  int solved = 0;
  size_t longest = 0;
  for (uint32_t i = 0; i < 1000; ++i) {
    const CountdownProblem p = make_countdown(5, i, TaskSplit::train, options);
    const std::string text = countdown_demonstration(p, 5, i, options, how);
    REQUIRE(text.starts_with("<think>"));
    REQUIRE(text.ends_with("</answer>"));
    const size_t close = text.find("</think>");
    // The last result before </think> decides whether the demonstration is solved, and its mark.
    const size_t equals = text.rfind('=', close);
    const std::string result = text.substr(equals + 1, close - equals - 2);
    const bool hit = result == std::to_string(p.target);
    CHECK(text[close - 1] == (hit ? '!' : ','));
    CHECK(text.find('!') == (hit ? close - 1 : std::string::npos));
    solved += hit ? 1 : 0;
    const size_t answer = text.find("<answer>") + 8;
    const std::string expression = text.substr(answer, text.size() - 9 - answer);
    CHECK(text.find(expression + "=") < close);
    longest = std::max(longest, text.size());
  }
  CHECK(solved > 440);
  CHECK(solved < 560);
  CHECK(longest < 140);
}

TEST_CASE("demonstrations with one try and certain success show the solution only") {
  const CountdownOptions options;
  const DemonstrationOptions how{.style = TraceStyle::direct, .max_tries = 1, .solved = 1.0};
  const CountdownProblem p = make_countdown(1, 0, TaskSplit::train, options);
  const std::string text = countdown_demonstration(p, 1, 0, options, how);
  const std::string target = "=" + std::to_string(p.target) + "!</think>";
  CHECK(text.find(target) != std::string::npos);
  CHECK(text.find(' ') == std::string::npos);
}

TEST_CASE("countdown rows are JSON that the rule reads") {
  const CountdownProblem p = make_countdown(1, 0, TaskSplit::train, {});
  const Json row = parse_json(countdown_row(p, PromptStyle::compact, "done"), "row");
  CHECK(find_member(row, "numbers")->Size() == p.numbers.size());
  CHECK(find_member(row, "target")->GetInt64() == p.target);
  CHECK(find_member(row, "gold")->GetString() == p.solution.text());
  CHECK(std::string(find_member(row, "completion")->GetString()) == "done");
}

TEST_CASE("countdown options that leave no problem are refused") {
  CountdownOptions options;
  options.count = 2;
  options.ops = "+";
  options.min_target = 41;
  CHECK_THROWS_AS(make_countdown(1, 0, TaskSplit::train, options), UserError);
  options.ops = "^";
  CHECK_THROWS_AS(make_countdown(1, 0, TaskSplit::train, options), UserError);
}

TEST_CASE("arithmetic problems are split by their text, demonstrations err as asked") {
  const ArithmeticOptions options;
  int right = 0;
  for (uint32_t i = 0; i < 400; ++i) {
    const ArithmeticProblem p = make_arithmetic(3, i, TaskSplit::test, options);
    CHECK(is_held_out(p));
    CHECK(!is_held_out(make_arithmetic(3, i, TaskSplit::train, options)));
    const std::string text = arithmetic_demonstration(p, 3, i, 0.75);
    const std::string answer = "<answer>" + std::to_string(p.value) + "</answer>";
    right += text.ends_with(answer) ? 1 : 0;
  }
  CHECK(right > 260);
  CHECK(right < 340);
}

TEST_CASE("arithmetic chains are computed from the left, within their bounds") {
  ArithmeticOptions options;
  options.count = 4;
  options.max_number = 9;
  options.max_value = 20;
  options.ops = "+-";
  options.chains = true;
  for (uint32_t i = 0; i < 300; ++i) {
    const ArithmeticProblem p = make_arithmetic(5, i, TaskSplit::train, options);
    CHECK(!is_held_out(p));
    CHECK(p.text.find('(') == std::string::npos);
    CHECK(p.solution.starts_with(p.text + "="));
    CHECK(p.solution.ends_with("=" + std::to_string(p.value)));
    CHECK(std::count(p.solution.begin(), p.solution.end(), '=') == 3);
    CHECK(p.value >= 0);
    CHECK(p.value <= 20);
  }
  options.ops = "+*";
  CHECK_THROWS_AS(make_arithmetic(5, 0, TaskSplit::train, options), UserError);
}
