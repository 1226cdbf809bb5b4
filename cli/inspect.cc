#include "cli/inspect.h"

#include "core/error.h"

namespace temper {

OptionsTable inspect_options(InspectOptions& options, bool of_a_run) {
  OptionsTable table;
  table.group("Input");
  table.add("path", &options.path, "run directory, or its run.db; may be in use by a run")
      .value_name("RUN_DIR")
      .required()
      .positional();
  if (of_a_run) {
    table.add("run", &options.run, "id of the run in this database; 0 takes the latest")
        .at_least(0);
  }
  table.group("Output");
  table.add("json", &options.json, "JSON on stdout");
  table.add("width", &options.width, "widest cell of a table; 0 cuts nothing")
      .unit("columns")
      .at_least(0);
  return table;
}

RunRow inspected_run(Database& database, const InspectOptions& options) {
  const std::vector<RunRow> runs = read_runs(database);
  if (runs.empty()) {
    throw UserError({.what = "no run was recorded yet", .where = database.path().string()});
  }
  if (options.run == 0) return runs.back();
  std::string known;
  for (const RunRow& run : runs) {
    if (run.id == options.run) return run;
    known += (known.empty() ? "" : ", ") + std::to_string(run.id);
  }
  throw UserError({.what = "no such run",
                   .where = "--run",
                   .expected = known,
                   .found = std::to_string(options.run),
                   .hint = "see temper inspect runs " + options.path});
}

void write_table(Invocation& cli, const InspectOptions& options, const Table& table,
                 std::string_view nothing) {
  if (options.json) return table.write_json(cli.out);
  if (table.rows().empty()) {
    cli.out << nothing << '\n';
    return;
  }
  table.write_text(cli.out, static_cast<size_t>(options.width));
}

std::string text_of(const Cell& cell) {
  const auto* text = std::get_if<std::string>(&cell);
  return text ? *text : "";
}

// The text indented; without --full only its last part, where the answer is.
void write_passage(std::ostream& out, const std::string& title, const std::string& text,
                   bool full) {
  constexpr size_t kShown = 600;
  std::string part = text;
  if (!full && part.size() > kShown) {
    size_t from = part.size() - kShown;
    while (from < part.size() && (static_cast<unsigned char>(part[from]) & 0xc0) == 0x80) ++from;
    part = "\u2026" + part.substr(from);
  }
  out << "  " << title << '\n';
  std::string line = "    ";
  for (const char c : visible_text(part, true)) {
    line += c;
    if (c == '\n') line += "    ";
  }
  line.resize(line.find_last_not_of(" \n") + 1);
  out << line << '\n';
}

Table reward_table(const std::vector<RewardRow>& rewards) {
  Table table({"rule", "status", "value", "weight", "counted", "answer", "reason", "us"});
  const auto text = [](const std::optional<std::string>& t) -> Cell {
    if (!t) return std::monostate();
    return *t;
  };
  for (const RewardRow& r : rewards) {
    table.add({r.rule, r.status, r.value ? Cell(*r.value) : Cell(), r.weight, int64_t{r.counted},
               text(r.extracted), text(r.reason), r.microseconds});
  }
  return table;
}

void add_inspect(Subcommands& list) {
  add_inspect_runs(list);
  add_inspect_curve(list);
  add_inspect_samples(list);
  add_inspect_sample(list);
  add_inspect_groups(list);
  add_inspect_diff(list);
  add_inspect_sql(list);
  add_inspect_export(list);
  add_inspect_prune(list);
}

}  // namespace temper
