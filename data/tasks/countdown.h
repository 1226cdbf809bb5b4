// Countdown: reach a target from given numbers with + - * /. Problems, demonstrations and rows by
// seed: a task that cannot be memorised, can be verified exactly, and can be made as easy or as
// hard as a model needs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/tasks/expression.h"

namespace temper {

enum class TaskSplit : uint8_t { train, test };

enum class PromptStyle : uint8_t {
  compact,  // "3 7 2=20\n": for small models trained from scratch
  words,    // a sentence with instructions: for pretrained models
};

struct CountdownOptions {
  int count = 3;  // how many numbers are given
  int64_t min_number = 1, max_number = 20;
  int64_t min_target = 1, max_target = 99;
  std::string ops = "+-*";  // what solutions and tries are made of
  PromptStyle prompt = PromptStyle::compact;
};

struct CountdownProblem {
  std::vector<int64_t> numbers;  // as shown
  int64_t target = 0;
  Expression solution;  // one expression over all numbers that equals the target
};

// How a demonstration writes a try of an expression.
enum class TraceStyle : uint8_t {
  direct,  // "(3+7)*2=20"
  steps,   // "3+7=10 10*2=20"
  reduce,  // "(3+7)*2=10*2=20"
};

// How demonstrations search. Imperfect ones leave something for reinforcement to find: with
// probability 1 - solved every try fails and the last failed try is answered all the same.
struct DemonstrationOptions {
  TraceStyle style = TraceStyle::reduce;
  int max_tries = 4;    // the solution is at a uniformly drawn place of 1..max_tries
  double solved = 0.5;  // probability that the demonstration ends in a solution
  double near = 0.0;    // probability that a failing try is the nearest of four draws
};

// Problem `index` of the stream (seed, split): numbers drawn uniformly, a random expression over
// them whose value lies within the target's range. Problems whose canonical form (sorted numbers
// and target) hashes into the held-out tenth belong to `test`, all others to `train`, so that the
// two never share a problem, whatever the seeds and options.
// Throws UserError if the options leave no problem to draw.
CountdownProblem make_countdown(uint64_t seed, uint32_t index, TaskSplit split,
                                const CountdownOptions& options);

// Whether the problem belongs to the test split. It does not depend on the order of the numbers.
bool is_held_out(const CountdownProblem& problem);

// The prompt shown to a model.
std::string countdown_prompt(const CountdownProblem& problem, PromptStyle style);

// A completion in R1's form,
// "<think>3+7-2=10-2=8,(3+7)*2=10*2=20!</think><answer>(3+7)*2</answer>":
// failing tries, all different, each computed correctly and marked ","; then, if the demonstration
// is a solved one, a try that reaches the target, marked "!". The answer is the last try's
// expression. The mark makes the comparison with the target a token of its own, which a small
// model learns from every try; what to do after a "," is left to the policy.
std::string countdown_demonstration(const CountdownProblem& problem, uint64_t seed, uint32_t index,
                                    const CountdownOptions& options,
                                    const DemonstrationOptions& demonstration);

// The JSON row of the problem: {"prompt","numbers","target","use":"all","gold"} and, if
// `completion` is not empty, "completion". The gold is the solution as `<answer>` would hold it.
std::string countdown_row(const CountdownProblem& problem, PromptStyle style,
                          const std::string& completion);

}  // namespace temper
