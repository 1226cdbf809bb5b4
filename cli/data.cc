// temper data countdown, temper data arithmetic: the built-in tasks as JSONL.
#include <memory>

#include "cli/jsonl.h"
#include "cli/subcommands.h"
#include "data/tasks/arithmetic.h"
#include "data/tasks/countdown.h"

namespace temper {
namespace {

// What the rows of every task have in common.
struct TaskRowOptions {
  std::string out = "-";
  int64_t count = 1000;
  int64_t first = 0;
  uint32_t seed = 1;
  TaskSplit split = TaskSplit::train;
  bool demonstrations = false;
};

void add_row_options(OptionsTable& table, TaskRowOptions& o) {
  table.group("Rows");
  table.add("out", &o.out, "file to write; - is the standard output").value_name("FILE");
  table.add("count", &o.count, "how many rows").range(1, 1e7).unit("rows");
  table.add("first", &o.first, "number of the first row in the seed's stream").range(0, 1e9);
  table.add("seed", &o.seed, "seed of the stream; a row depends on seed, split and number only");
  table.add_choice("split", &o.split, {{"train", TaskSplit::train}, {"test", TaskSplit::test}},
                   "train, or the held-out tenth of all problems");
  table.add("demonstrations", &o.demonstrations, "add a completion to learn from to every row");
}

// Writes the rows that were asked for, each as row(its number) gives it.
template <class Row>
int write_rows(const TaskRowOptions& o, Invocation& cli, const Row& row) {
  std::string text;
  for (int64_t i = o.first; i < o.first + o.count; ++i)
    text += row(static_cast<uint32_t>(i)) + "\n";
  write_result(o.out, text, cli.out);
  return 0;
}

struct CountdownCommand {
  TaskRowOptions rows;
  CountdownOptions problem;
  DemonstrationOptions demonstration;
};

OptionsTable countdown_table(CountdownCommand& o) {
  OptionsTable table;
  add_row_options(table, o.rows);
  table.group("Problems");
  table.add("numbers", &o.problem.count, "how many numbers are given").range(2, 16);
  table.add("min-number", &o.problem.min_number, "smallest number").range(1, 1e6);
  table.add("max-number", &o.problem.max_number, "largest number").range(1, 1e6);
  table.add("min-target", &o.problem.min_target, "smallest target").range(0, 1e9);
  table.add("max-target", &o.problem.max_target, "largest target").range(1, 1e9);
  table.add("ops", &o.problem.ops, "operators of solutions and tries, of + - * /");
  table.add_choice("prompt", &o.problem.prompt,
                   {{"compact", PromptStyle::compact}, {"words", PromptStyle::words}},
                   "compact '3 7 2=20' for small models, or instructions in words");
  table.group("Demonstrations");
  table.add_choice("trace", &o.demonstration.style,
                   {{"direct", TraceStyle::direct},
                    {"steps", TraceStyle::steps},
                    {"reduce", TraceStyle::reduce}},
                   "how a try is written: (3+7)*2=20, 3+7=10 10*2=20, or (3+7)*2=10*2=20");
  table.add("max-tries", &o.demonstration.max_tries, "tries in a demonstration").range(1, 100);
  table.add("solved", &o.demonstration.solved, "share of demonstrations that end right")
      .range(0, 1);
  table.add("near", &o.demonstration.near, "share of failing tries that come near the target")
      .range(0, 1);
  return table;
}

int run_countdown(const CountdownCommand& o, Invocation& cli) {
  return write_rows(o.rows, cli, [&](uint32_t index) {
    const CountdownProblem p = make_countdown(o.rows.seed, index, o.rows.split, o.problem);
    std::string completion;
    if (o.rows.demonstrations)
      completion = countdown_demonstration(p, o.rows.seed, index, o.problem, o.demonstration);
    return countdown_row(p, o.problem.prompt, completion);
  });
}

struct ArithmeticCommand {
  TaskRowOptions rows;
  ArithmeticOptions problem;
  double solved = 0.7;
};

OptionsTable arithmetic_table(ArithmeticCommand& o) {
  OptionsTable table;
  add_row_options(table, o.rows);
  table.group("Problems");
  table.add("numbers", &o.problem.count, "how many numbers an expression has").range(2, 16);
  table.add("min-number", &o.problem.min_number, "smallest number").range(1, 1e6);
  table.add("max-number", &o.problem.max_number, "largest number").range(1, 1e6);
  table.add("max-value", &o.problem.max_value, "largest result of a step").range(1, 1e9);
  table.add("ops", &o.problem.ops, "operators, of + - * /");
  table.add("chains", &o.problem.chains, "no brackets: chains of + and -, computed from the left");
  table.group("Demonstrations");
  table.add("solved", &o.solved, "share of demonstrations that end right").range(0, 1);
  return table;
}

int run_arithmetic(const ArithmeticCommand& o, Invocation& cli) {
  return write_rows(o.rows, cli, [&](uint32_t index) {
    const ArithmeticProblem p = make_arithmetic(o.rows.seed, index, o.rows.split, o.problem);
    std::string completion;
    if (o.rows.demonstrations)
      completion = arithmetic_demonstration(p, o.rows.seed, index, o.solved);
    return arithmetic_row(p, completion);
  });
}

}  // namespace

void add_data(Subcommands& list) {
  const auto countdown = std::make_shared<CountdownCommand>();
  list.add({.name = "data countdown",
            .about = "rows of the Countdown task: reach a target from given numbers",
            .examples = "  temper data countdown --out train.jsonl --count 20000 --demonstrations\n"
                        "  temper data countdown --out test.jsonl --count 500 --split test",
            .options = countdown_table(*countdown),
            .run = [countdown](Invocation& cli) { return run_countdown(*countdown, cli); }});
  const auto arithmetic = std::make_shared<ArithmeticCommand>();
  list.add({.name = "data arithmetic",
            .about = "rows of the arithmetic task: compute an expression of several steps",
            .examples = "  temper data arithmetic --out train.jsonl --count 20000 --demonstrations",
            .options = arithmetic_table(*arithmetic),
            .run = [arithmetic](Invocation& cli) { return run_arithmetic(*arithmetic, cli); }});
}

}  // namespace temper
