// temper eval compare A B: two evaluations on the same problems, problem by problem.
#include <cstdio>
#include <map>
#include <memory>

#include "cli/subcommands.h"
#include "core/error.h"
#include "core/json.h"
#include "data/store_reader.h"
#include "rollout/estimators.h"

namespace temper {
namespace {

struct CompareCommand {
  std::string first, second, rule;
  bool json = false;
};

OptionsTable compare_options(CompareCommand& o) {
  OptionsTable table;
  table.group("Runs");
  table.add("first", &o.first, "run directory of an eval")
      .value_name("DIR")
      .required()
      .positional();
  table.add("second", &o.second, "run directory of the eval to compare with it")
      .value_name("DIR")
      .required()
      .positional();
  table.add("rule", &o.rule, "which rule says what is right; else the one that the evals used")
      .value_name("NAME");
  table.add("json", &o.json, "one JSON object instead of text");
  return table;
}

// The last evaluation of a run directory.
struct Evaluation {
  std::string path, task = {}, rule;
  int64_t samples = 0;
  std::map<std::string, double> shares = {};  // of right samples, by the prompt's key
};

Evaluation read_evaluation(const std::string& path, const std::string& rule) {
  Database db = open_for_reading(path);
  Evaluation eval{.path = path, .rule = rule};
  int64_t run = -1, step = 0;
  std::string kind;
  db.for_each_row(
      "SELECT run_id, kind, step, task, samples_per_prompt, details FROM evals"
      " ORDER BY run_id DESC, step DESC LIMIT 1",
      [&](Statement& row) {
        run = row.get<int64_t>(0);
        kind = row.get<std::string>(1);
        step = row.get<int64_t>(2);
        eval.task = row.get<std::string>(3);
        eval.samples = row.get<int64_t>(4);
        if (!eval.rule.empty()) return;
        const Json details = parse_json(row.get<std::string>(5), path);
        if (const JsonValue* right = find_member(details, "right")) eval.rule = right->GetString();
      });
  if (run < 0)
    throw UserError({.what = "the database holds no evaluation",
                     .where = path,
                     .hint = "make one with: temper eval --out DIR"});
  if (eval.rule.empty())
    throw UserError({.what = "the evaluation does not say which rule decides",
                     .where = path,
                     .hint = "name it with --rule; temper inspect verdicts lists the rules"});
  // Of several rules the first that was asked decides, as in the evaluation.
  db.for_each_row(
      "WITH decided AS (SELECT s.prompt_id, (SELECT r.status FROM rewards r WHERE r.sample_id = "
      "s.id"
      "   AND instr(?1, ',' || r.rule || ',') > 0"
      "   ORDER BY instr(?1, ',' || r.rule || ',') LIMIT 1) AS status FROM samples s"
      "   WHERE s.run_id = ?2 AND s.kind = ?3 AND s.step = ?4)"
      " SELECT p.key, avg(d.status = 'ok') FROM decided d JOIN prompts p ON p.id = d.prompt_id"
      " WHERE d.status NOT IN ('bad_gold', 'error') GROUP BY p.key",
      [&](Statement& row) { eval.shares[row.get<std::string>(0)] = row.get<double>(1); },
      "," + eval.rule + ",", run, kind, step);
  if (eval.shares.empty())
    throw UserError({.what = "no sample was judged by the rule " + eval.rule, .where = path});
  return eval;
}

std::string text_of(const PairedTest& t, const Evaluation& a, const Evaluation& b, size_t left) {
  char line[200];
  std::string text =
      a.task + ": " + std::to_string(t.problems) + " problems of both, right by " + a.rule + "\n";
  const auto add = [&](const std::string& name, double share, int64_t samples) {
    std::snprintf(line, sizeof line, "  %-40s %7.2f %%  (%lld samples a problem)\n", name.c_str(),
                  100 * share, static_cast<long long>(samples));
    text += line;
  };
  add(a.path, t.first, a.samples);
  add(b.path, t.second, b.samples);
  std::snprintf(line, sizeof line,
                "  difference %+.2f points +- %.2f, 95 %% from %+.2f to %+.2f\n"
                "  p = %.4g (randomisation test over problems, two-sided)\n",
                100 * t.difference, 100 * t.error, 100 * (t.difference - 1.96 * t.error),
                100 * (t.difference + 1.96 * t.error), t.p_value);
  text += line;
  text += "  better on " + std::to_string(t.better) + " problems, worse on " +
          std::to_string(t.worse) + "\n";
  if (left > 0) text += "  " + std::to_string(left) + " problems are in one run only: left out\n";
  return text;
}

std::string json_of(const PairedTest& t, size_t left) {
  return "{\"problems\":" + std::to_string(t.problems) + ",\"first\":" + option_text(t.first) +
         ",\"second\":" + option_text(t.second) + ",\"difference\":" + option_text(t.difference) +
         ",\"standard_error\":" + option_text(t.error) + ",\"p_value\":" + option_text(t.p_value) +
         ",\"better\":" + std::to_string(t.better) + ",\"worse\":" + std::to_string(t.worse) +
         ",\"left_out\":" + std::to_string(left) + "}\n";
}

int run_compare(const CompareCommand& o, Invocation& cli) {
  const Evaluation a = read_evaluation(o.first, o.rule), b = read_evaluation(o.second, o.rule);
  std::vector<double> first, second;
  for (const auto& [key, share] : a.shares) {
    const auto other = b.shares.find(key);
    if (other == b.shares.end()) continue;
    first.push_back(share);
    second.push_back(other->second);
  }
  if (first.empty())
    throw UserError({.what = "the two runs have no problem in common",
                     .where = o.first + " and " + o.second,
                     .found = "'" + a.shares.begin()->first + "' and '" + b.shares.begin()->first +
                              "', for instance",
                     .hint = "evaluate both on the same file, under the same path"});
  const size_t left = a.shares.size() + b.shares.size() - 2 * first.size();
  const PairedTest test = paired_test(first, second);
  cli.out << (o.json ? json_of(test, left) : text_of(test, a, b, left));
  return 0;
}

}  // namespace

void add_eval_compare(Subcommands& list) {
  auto o = std::make_shared<CompareCommand>();
  list.add({.name = "eval compare",
            .about = "two evaluations on the same problems: the difference and a paired test",
            .examples = "  temper eval compare runs/eval-sft runs/eval-grpo\n",
            .options = compare_options(*o),
            .run = [o](Invocation& cli) { return run_compare(*o, cli); }});
}

}  // namespace temper
