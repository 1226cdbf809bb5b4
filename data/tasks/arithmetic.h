// Multi-step arithmetic: compute an expression. Judged by the rule `math`.
#pragma once

#include <cstdint>
#include <string>

#include "data/tasks/countdown.h"

namespace temper {

struct ArithmeticOptions {
  int count = 3;  // how many numbers: one more than there are steps
  int64_t min_number = 1, max_number = 20;
  int64_t max_value = 200;  // of every intermediate result
  std::string ops = "+-*";
  bool chains = false;  // "7+5-9", computed from the left; ops then + and - only
};

struct ArithmeticProblem {
  std::string text;      // "(3+7)*2"
  int64_t value = 0;     // 20
  std::string solution;  // "(3+7)*2=10*2=20"
};

// Problem `index` of the stream (seed, split), one step of the solution after another; the split is
// decided by a hash of the text. Throws UserError if the options are out of range.
ArithmeticProblem make_arithmetic(uint64_t seed, uint32_t index, TaskSplit split,
                                  const ArithmeticOptions& options);

// Whether the split of the problem is the held-out one.
bool is_held_out(const ArithmeticProblem& problem);

// "<think>(3+7)*2=10*2=20</think><answer>20</answer>". With probability 1 - solved the last step is
// off by one or ten.
std::string arithmetic_demonstration(const ArithmeticProblem& problem, uint64_t seed,
                                     uint32_t index, double solved);

// The JSON row: {"prompt":"(3+7)*2=?\n","gold":"20"} and, if not empty, "completion".
std::string arithmetic_row(const ArithmeticProblem& problem, const std::string& completion);

}  // namespace temper
