#include "data/tasks/countdown.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>

#include "core/error.h"
#include "core/json.h"
#include "core/random.h"
#include "data/tasks/split.h"

namespace temper {
namespace {

// Streams of random numbers of this task: the high word of the counter tells them apart.
constexpr uint32_t kTrainProblems = 0x434E5401, kTestProblems = 0x434E5402;
constexpr uint32_t kDemonstrations = 0x434E5403;
constexpr int kMaxDraws = 20000;

std::string joined(const std::vector<int64_t>& numbers, const char* separator) {
  std::string text;
  for (const int64_t n : numbers) text += (text.empty() ? "" : separator) + std::to_string(n);
  return text;
}

void check_options(const CountdownOptions& o) {
  const bool numbers_ok = o.count >= 2 && o.count <= 16 && o.min_number >= 1 &&
                          o.max_number >= o.min_number && o.max_number <= 1'000'000;
  const bool target_ok = o.max_target >= o.min_target && o.max_target <= 1'000'000'000;
  const bool ops_ok = !o.ops.empty() && o.ops.find_first_not_of("+-*/") == std::string::npos;
  if (numbers_ok && target_ok && ops_ok) return;
  throw UserError({.what = "Countdown cannot be made with these options",
                   .where = "countdown",
                   .expected = "2 to 16 numbers, 1 <= smallest <= largest <= 1000000, a target "
                               "range that is not empty and ends by 10^9, operators of + - * /",
                   .found = {},
                   .hint = {}});
}

// What a try writes into the thinking part.
std::string trace_of(const Expression& expression, TraceStyle style) {
  const std::vector<ExpressionStep> steps = expression.steps();
  std::string text;
  if (style == TraceStyle::steps) {
    for (const ExpressionStep& s : steps) {
      text += (text.empty() ? "" : " ") + std::to_string(s.left) + s.op + std::to_string(s.right) +
              "=" + std::to_string(s.result);
    }
    return text;
  }
  text = expression.text();
  const int count = static_cast<int>(steps.size());
  for (int i = style == TraceStyle::reduce ? 1 : count; i <= count; ++i) {
    text += "=" + expression.text_after(i);
  }
  return text;
}

// Draws expressions over one problem's numbers.
class TryMaker {
 public:
  TryMaker(const CountdownProblem& problem, const CountdownOptions& options, Random& random)
      : problem_(problem), ops_(options.ops), random_(random) {
    // A failing try may pass the target, but not run away from it.
    limit_ = std::max<int64_t>(4 * options.max_target, 100);
  }

  Expression any() { return Expression::random(problem_.numbers, ops_, limit_, random_); }

  // One that misses the target and was not tried yet; nullopt if none turns up.
  std::optional<Expression> failing() {
    for (int draw = 0; draw < 200; ++draw) {
      Expression e = any();
      if (e.value() != problem_.target && tried_.insert(e.text()).second) return e;
    }
    return std::nullopt;
  }

  // The failing one of four draws that comes nearest to the target.
  std::optional<Expression> failing_near() {
    std::optional<Expression> best;
    std::set<std::string> drawn;
    for (int i = 0; i < 4; ++i) {
      std::optional<Expression> e = failing();
      if (!e) break;
      drawn.insert(e->text());
      if (!best || distance(*e) < distance(*best)) best = std::move(e);
    }
    for (const std::string& text : drawn) tried_.erase(text);
    if (best) tried_.insert(best->text());
    return best;
  }

  // Another solution if one turns up soon, so that demonstrations vary; else the problem's own.
  Expression solving() {
    for (int draw = 0; draw < 50; ++draw) {
      Expression e = any();
      if (e.value() == problem_.target) return e;
    }
    return problem_.solution;
  }

 private:
  int64_t distance(const Expression& e) const { return std::abs(e.value() - problem_.target); }

  const CountdownProblem& problem_;
  std::string ops_;
  Random& random_;
  int64_t limit_ = 0;
  std::set<std::string> tried_;
};

}  // namespace

bool is_held_out(const CountdownProblem& problem) {
  std::vector<int64_t> sorted = problem.numbers;
  std::sort(sorted.begin(), sorted.end());
  return hashes_to_test(joined(sorted, ",") + "=" + std::to_string(problem.target));
}

CountdownProblem make_countdown(uint64_t seed, uint32_t index, TaskSplit split,
                                const CountdownOptions& options) {
  check_options(options);
  Random random(seed, RandomStream::data,
                split == TaskSplit::train ? kTrainProblems : kTestProblems, index);
  const auto span = static_cast<uint32_t>(options.max_number - options.min_number + 1);
  for (int draw = 0; draw < kMaxDraws; ++draw) {
    CountdownProblem problem;
    for (int i = 0; i < options.count; ++i) {
      problem.numbers.push_back(options.min_number + random.below(span));
    }
    const Expression e =
        Expression::random(problem.numbers, options.ops, options.max_target, random);
    problem.target = e.value();
    if (problem.target < options.min_target || problem.target > options.max_target) continue;
    if (is_held_out(problem) != (split == TaskSplit::test)) continue;
    problem.solution = e;
    return problem;
  }
  throw UserError({.what = "no Countdown problem fits these options",
                   .where = "countdown",
                   .expected = "a target that the numbers can reach",
                   .found = {},
                   .hint = "widen the range of the target or of the numbers"});
}

std::string countdown_prompt(const CountdownProblem& problem, PromptStyle style) {
  if (style == PromptStyle::compact) {
    return joined(problem.numbers, " ") + "=" + std::to_string(problem.target) + "\n";
  }
  return "Using each of the numbers " + joined(problem.numbers, ", ") +
         " exactly once with + - * / and parentheses, write an expression that equals " +
         std::to_string(problem.target) +
         ". Think between <think> and </think>, then give only the expression between <answer> "
         "and </answer>.";
}

std::string countdown_demonstration(const CountdownProblem& problem, uint64_t seed, uint32_t index,
                                    const CountdownOptions& options,
                                    const DemonstrationOptions& demonstration) {
  Random random(seed, RandomStream::data, kDemonstrations, index);
  TryMaker maker(problem, options, random);
  const bool solved = random.uniform() < demonstration.solved;
  const auto most = static_cast<uint32_t>(std::max(demonstration.max_tries, 1));
  const uint32_t tries = 1 + random.below(most);
  const uint32_t failing = solved ? tries - 1 : tries;
  std::string trace;
  std::string last;
  const auto add = [&](const Expression& e, char mark) {
    trace += trace_of(e, demonstration.style) + mark;
    last = e.text();
  };
  for (uint32_t i = 0; i < failing; ++i) {
    const bool near = random.uniform() < demonstration.near;
    const auto e = near ? maker.failing_near() : maker.failing();
    if (e) add(*e, ',');
  }
  if (solved || last.empty()) add(maker.solving(), '!');
  return "<think>" + trace + "</think><answer>" + last + "</answer>";
}

std::string countdown_row(const CountdownProblem& problem, PromptStyle style,
                          const std::string& completion) {
  std::string row = "{\"prompt\":" + quote_json(countdown_prompt(problem, style)) +
                    ",\"numbers\":[" + joined(problem.numbers, ",") +
                    "],\"target\":" + std::to_string(problem.target) +
                    ",\"use\":\"all\",\"gold\":" + quote_json(problem.solution.text());
  if (!completion.empty()) row += ",\"completion\":" + quote_json(completion);
  return row + "}";
}

}  // namespace temper
