#include "data/tasks/arithmetic.h"

#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "data/tasks/split.h"

namespace temper {
namespace {

constexpr uint32_t kTrainProblems = 0x41524901, kTestProblems = 0x41524902;
constexpr uint32_t kDemonstrations = 0x41524903;
constexpr int kMaxDraws = 20000;

bool options_are_usable(const ArithmeticOptions& o) {
  return o.count >= 2 && o.count <= 16 && o.min_number >= 1 && o.max_number >= o.min_number &&
         o.max_number <= 1'000'000 && !o.ops.empty() &&
         o.ops.find_first_not_of(o.chains ? "+-" : "+-*/") == std::string::npos;
}

// A random expression tree: "(3+7)*2", solved from the inside.
ArithmeticProblem draw_tree(const ArithmeticOptions& o, Random& random) {
  const auto span = static_cast<uint32_t>(o.max_number - o.min_number + 1);
  std::vector<int64_t> numbers;
  for (int i = 0; i < o.count; ++i) numbers.push_back(o.min_number + random.below(span));
  const Expression e = Expression::random(numbers, o.ops, o.max_value, random);
  ArithmeticProblem problem{e.text(), e.value(), e.text()};
  for (int i = 1; i < o.count; ++i) problem.solution += "=" + e.text_after(i);
  return problem;
}

// A chain without brackets: "7+5-9", solved from the left. False if a step leaves 0..max_value.
bool draw_chain(const ArithmeticOptions& o, Random& random, ArithmeticProblem& problem) {
  const auto span = static_cast<uint32_t>(o.max_number - o.min_number + 1);
  int64_t value = o.min_number + random.below(span);
  std::vector<std::string> tails(static_cast<size_t>(o.count));  // what is left after each step
  std::vector<int64_t> values{value};
  for (int i = 1; i < o.count; ++i) {
    const char op = o.ops[random.below(static_cast<uint32_t>(o.ops.size()))];
    const int64_t number = o.min_number + random.below(span);
    value = op == '+' ? value + number : value - number;
    if (value < 0 || value > o.max_value) return false;
    values.push_back(value);
    for (int k = 0; k < i; ++k) tails[static_cast<size_t>(k)] += op + std::to_string(number);
  }
  problem = {std::to_string(values[0]) + tails[0], value, {}};
  for (size_t k = 0; k < values.size(); ++k)
    problem.solution += (k == 0 ? "" : "=") + std::to_string(values[k]) + tails[k];
  return true;
}

}  // namespace

bool is_held_out(const ArithmeticProblem& problem) {
  return hashes_to_test(problem.text);
}

ArithmeticProblem make_arithmetic(uint64_t seed, uint32_t index, TaskSplit split,
                                  const ArithmeticOptions& o) {
  if (!options_are_usable(o)) {
    throw UserError({.what = "arithmetic cannot be made with these options",
                     .where = "arithmetic",
                     .expected = "2 to 16 numbers, 1 <= smallest <= largest <= 1000000, operators "
                                 "of + - * / (in chains: + and -)",
                     .found = {},
                     .hint = {}});
  }
  Random random(seed, RandomStream::data,
                split == TaskSplit::train ? kTrainProblems : kTestProblems, index);
  for (int draw = 0; draw < kMaxDraws; ++draw) {
    ArithmeticProblem problem;
    if (!o.chains) {
      problem = draw_tree(o, random);
    } else if (!draw_chain(o, random, problem)) {
      continue;
    }
    if (is_held_out(problem) == (split == TaskSplit::test)) return problem;
  }
  throw UserError({.what = "no arithmetic problem of this split fits these options",
                   .where = "arithmetic",
                   .expected = "more than a few possible problems",
                   .found = {},
                   .hint = "widen the range of the numbers"});
}

std::string arithmetic_demonstration(const ArithmeticProblem& problem, uint64_t seed,
                                     uint32_t index, double solved) {
  Random random(seed, RandomStream::data, kDemonstrations, index);
  std::string trace = problem.solution;
  int64_t answer = problem.value;
  if (random.uniform() >= solved) {
    const int64_t slip = random.below(2) == 0 ? 1 : 10;
    answer += random.below(2) == 0 || answer < slip ? slip : -slip;
    trace.resize(trace.rfind('=') + 1);
    trace += std::to_string(answer);
  }
  return "<think>" + trace + "</think><answer>" + std::to_string(answer) + "</answer>";
}

std::string arithmetic_row(const ArithmeticProblem& problem, const std::string& completion) {
  std::string row = "{\"prompt\":" + quote_json(problem.text + "=?\n") + ",\"gold\":\"" +
                    std::to_string(problem.value) + "\"";
  if (!completion.empty()) row += ",\"completion\":" + quote_json(completion);
  return row + "}";
}

}  // namespace temper
