// temper inspect diff: the same prompts at two times of a run, or in two runs.
#include <array>

#include "cli/inspect.h"
#include "core/error.h"
#include "core/options.h"

namespace temper {
namespace {

struct DiffOptions {
  InspectOptions inspect;
  std::string steps, other, kind, prompt;
  int64_t other_run = 0, count = 20;
  bool full = false;
};

struct Steps {
  int64_t first = 0, last = 0;
};

// One of the two that are compared: a run, and some of its steps.
struct Side {
  std::string schema;  // of the connection: main, other
  int64_t run = 0;
  std::string kind = {};
  Steps steps = {0, INT64_MAX};
};

[[noreturn]] void refuse_steps(const std::string& text) {
  throw UserError({.what = "which steps are to be compared?",
                   .where = "--steps",
                   .expected = "two steps or ranges, such as 10,90 or 1-10,91-100",
                   .found = text});
}

Steps steps_of(const std::string& part, const std::string& whole) {
  const size_t dash = part.find('-');
  const std::string first = part.substr(0, dash);
  const std::string last = dash == std::string::npos ? first : part.substr(dash + 1);
  for (const std::string& number : {first, last})
    if (number.empty() || number.size() > 15 ||
        number.find_first_not_of("0123456789") != std::string::npos)
      refuse_steps(whole);
  return {option_integer(first), option_integer(last)};
}

// The kind of step that most of the run's samples belong to.
std::string main_kind(Database& db, const Side& side) {
  return db
      .value<std::string>("SELECT kind FROM " + side.schema +
                              ".samples WHERE run_id = ? GROUP BY kind ORDER BY count(*) DESC",
                          side.run)
      .value_or("");
}

int64_t run_in_other(Database& db, int64_t wanted) {
  const auto found =
      db.value<int64_t>("SELECT id FROM other.runs WHERE ?1 IN (0, id) ORDER BY id DESC", wanted);
  if (found) return *found;
  throw UserError({.what = "no such run in the other database",
                   .where = "--other-run",
                   .found = std::to_string(wanted)});
}

std::array<Side, 2> sides_of(Database& db, const DiffOptions& o) {
  Side a{.schema = "main", .run = inspected_run(db, o.inspect).id};
  Side b = a;
  if (!o.other.empty()) {
    attach_for_reading(db, o.other);
    b.schema = "other";
    b.run = run_in_other(db, o.other_run);
  } else if (o.other_run > 0) {
    InspectOptions second = o.inspect;
    second.run = o.other_run;
    b.run = inspected_run(db, second).id;
  }
  a.kind = o.kind.empty() ? main_kind(db, a) : o.kind;
  b.kind = o.kind.empty() ? main_kind(db, b) : o.kind;
  if (o.steps.empty()) return {a, b};
  const size_t comma = o.steps.find(',');
  if (comma == std::string::npos) refuse_steps(o.steps);
  a.steps = steps_of(o.steps.substr(0, comma), o.steps);
  b.steps = steps_of(o.steps.substr(comma + 1), o.steps);
  return {a, b};
}

// The prompts of a side with the means of their samples. Of one run without --steps: `end` says
// whether a prompt's first or its last step counts, of those that came in several.
std::string means_of(const Side& side, char number, const char* end) {
  const std::string from = " FROM " + side.schema + ".samples s INDEXED BY samples_at_a_glance";
  const std::string ours = " WHERE s.run_id = " + std::to_string(side.run) + " AND s.kind = ?" +
                           std::string(1, number) + " AND s.step BETWEEN " +
                           std::to_string(side.steps.first) + " AND " +
                           std::to_string(side.steps.last);
  std::string sql =
      "SELECT p.key AS prompt, min(s.step) AS step, count(*) AS samples,"
      " avg(s.reward) AS reward, avg(s.tokens) AS tokens" +
      from;
  // CROSS JOIN keeps the order: one pass over the index, whose rows are small.
  if (end != nullptr)
    sql += " CROSS JOIN (SELECT s.prompt_id, " + std::string(end) + "(s.step) AS step" + from +
           ours +
           " GROUP BY s.prompt_id HAVING min(s.step) < max(s.step)) e"
           " ON e.prompt_id = s.prompt_id AND e.step = s.step";
  return sql + " CROSS JOIN " + side.schema + ".prompts p ON p.id = s.prompt_id" + ours +
         " GROUP BY p.id";
}

bool own_ends(const DiffOptions& o) {
  return o.steps.empty() && o.other.empty() && o.other_run == 0;
}

std::string joined(const std::array<Side, 2>& sides, const DiffOptions& o) {
  return "WITH a AS MATERIALIZED (" + means_of(sides[0], '1', own_ends(o) ? "min" : nullptr) +
         "), b AS MATERIALIZED (" + means_of(sides[1], '2', own_ends(o) ? "max" : nullptr) + ") ";
}

// All prompts of `changes` together.
Table summary(const Table& changes) {
  double reward_a = 0, reward_b = 0, tokens_a = 0, tokens_b = 0;
  int64_t judged = 0, better = 0, worse = 0;
  for (const std::vector<Cell>& row : changes.rows()) {
    tokens_a += std::get<double>(row[8]);
    tokens_b += std::get<double>(row[9]);
    if (!std::holds_alternative<double>(row[7])) continue;  // a side that could not be judged
    const double change = std::get<double>(row[7]);
    reward_a += std::get<double>(row[5]);
    reward_b += std::get<double>(row[6]);
    better += change > 0;
    worse += change < 0;
    ++judged;
  }
  const auto prompts = static_cast<int64_t>(changes.rows().size());
  const auto mean = [](double sum, int64_t count) {
    return count > 0 ? Cell(sum / static_cast<double>(count)) : Cell();
  };
  Table table(
      {"prompts", "reward_a", "reward_b", "change", "better", "worse", "tokens_a", "tokens_b"});
  table.add({prompts, mean(reward_a, judged), mean(reward_b, judged),
             mean(reward_b - reward_a, judged), better, worse, mean(tokens_a, prompts),
             mean(tokens_b, prompts)});
  return table;
}

Table changes(Database& db, const std::array<Side, 2>& sides, const DiffOptions& o) {
  return query_table(
      db,
      joined(sides, o) +
          "SELECT a.prompt, a.step AS step_a, b.step AS step_b, a.samples AS samples_a,"
          " b.samples AS samples_b, a.reward AS reward_a, b.reward AS reward_b,"
          " b.reward - a.reward AS change, a.tokens AS tokens_a, b.tokens AS tokens_b"
          " FROM a JOIN b ON b.prompt = a.prompt WHERE ?3 IN ('', a.prompt)"
          " ORDER BY abs(change) DESC, a.prompt",
      sides[0].kind, sides[1].kind, o.prompt);
}

// The best completion of the prompt on a side.
void write_best(Invocation& cli, Database& db, const Side& side, const DiffOptions& o,
                const std::string& name, int64_t step) {
  db.for_each_row(
      "SELECT s.id, s.step, s.reward, s.tokens, s.completion FROM " + side.schema +
          ".samples s JOIN " + side.schema +
          ".prompts p ON p.id = s.prompt_id WHERE s.run_id = ? AND s.kind = ? AND s.step BETWEEN ?"
          " AND ? AND p.run_id = s.run_id AND p.key = ?"
          " ORDER BY s.reward IS NULL, s.reward DESC, s.id LIMIT 1",
      [&](Statement& row) {
        cli.out << '\n'
                << name << ": sample " << row.get<int64_t>(0) << ", step " << row.get<int64_t>(1)
                << ", reward " << cell_text(row.is_null(2) ? Cell() : Cell(row.get<double>(2)))
                << ", " << row.get<int64_t>(3) << " tokens\n";
        write_passage(cli.out, "completion", row.get<std::string>(4), o.full);
      },
      side.run, side.kind, own_ends(o) ? step : side.steps.first,
      own_ends(o) ? step : side.steps.last, o.prompt);
}

int show_diff(Invocation& cli, const DiffOptions& o) {
  Database db = open_for_reading(o.inspect.path);
  const std::array<Side, 2> sides = sides_of(db, o);
  const Table all = changes(db, sides, o), whole = summary(all);
  const Table list = all.first(static_cast<size_t>(o.count));
  if (o.inspect.json) {
    cli.out << "{\"summary\":";
    whole.write_json(cli.out);
    cli.out << ",\"prompts\":";
    list.write_json(cli.out);
    cli.out << "}\n";
    return 0;
  }
  if (list.rows().empty()) {
    cli.out << "no prompt is in both: "
            << (own_ends(o) ? "none came in two steps"
                            : "other steps "
                              "or another run may share some")
            << '\n';
    return 0;
  }
  whole.write_text(cli.out, 0);
  cli.out << '\n';
  list.write_text(cli.out, static_cast<size_t>(o.inspect.width));
  if (o.prompt.empty()) return 0;
  write_best(cli, db, sides[0], o, "a, the best", std::get<int64_t>(list.rows()[0][1]));
  write_best(cli, db, sides[1], o, "b, the best", std::get<int64_t>(list.rows()[0][2]));
  return 0;
}

}  // namespace

void add_inspect_diff(Subcommands& list) {
  const auto o = std::make_shared<DiffOptions>();
  OptionsTable table = inspect_options(o->inspect);
  table.group("What is compared");
  table
      .add("steps", &o->steps,
           "two steps or ranges of steps, A,B; else each prompt's first step with its last, or all "
           "steps of two runs")
      .value_name("A,B");
  table.add("other", &o->other, "a second run directory; prompts are matched by their key")
      .value_name("RUN_DIR");
  table.add("other-run", &o->other_run, "a second run, of --other or of this database").at_least(0);
  table.add("kind", &o->kind,
            "steps of this kind: grpo, rollout, eval; else what the run has most");
  table.group("Selection");
  table.add("prompt", &o->prompt, "only this prompt, with the best completion of either side")
      .value_name("KEY");
  table.add("count", &o->count, "how many, the largest changes first").at_least(1);
  table.add("full", &o->full, "whole texts, not only their ends");
  list.add({.name = "inspect diff",
            .about = "what changed for the same prompts between two steps or two runs",
            .examples = "  temper inspect diff RUN_DIR --steps 1-10,91-100\n"
                        "  temper inspect diff RUN_DIR --prompt train.jsonl:17\n"
                        "  temper inspect diff RUN_DIR --other OTHER_RUN_DIR --kind eval",
            .options = std::move(table),
            .run = [o](Invocation& cli) { return show_diff(cli, *o); }});
}

}  // namespace temper
