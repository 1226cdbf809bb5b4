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

}  // namespace

bool is_held_out(const ArithmeticProblem& problem) {
  return hashes_to_test(problem.text);
}

ArithmeticProblem make_arithmetic(uint64_t seed, uint32_t index, TaskSplit split,
                                  const ArithmeticOptions& o) {
  if (o.count < 2 || o.count > 16 || o.min_number < 1 || o.max_number < o.min_number ||
      o.max_number > 1'000'000 || o.ops.empty() ||
      o.ops.find_first_not_of("+-*/") != std::string::npos) {
    throw UserError({.what = "arithmetic cannot be made with these options",
                     .where = "arithmetic",
                     .expected = "2 to 16 numbers, 1 <= smallest <= largest <= 1000000, operators "
                                 "of + - * /",
                     .found = {},
                     .hint = {}});
  }
  Random random(seed, RandomStream::data,
                split == TaskSplit::train ? kTrainProblems : kTestProblems, index);
  const auto span = static_cast<uint32_t>(o.max_number - o.min_number + 1);
  for (int draw = 0; draw < kMaxDraws; ++draw) {
    std::vector<int64_t> numbers;
    for (int i = 0; i < o.count; ++i) numbers.push_back(o.min_number + random.below(span));
    const Expression e = Expression::random(numbers, o.ops, o.max_value, random);
    ArithmeticProblem problem{e.text(), e.value(), e.text()};
    if (is_held_out(problem) != (split == TaskSplit::test)) continue;
    for (int i = 1; i < o.count; ++i) problem.solution += "=" + e.text_after(i);
    return problem;
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
