// What the `inspect` subcommands share: which database, which run, text or JSON.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cli/inspect_table.h"
#include "cli/subcommands.h"
#include "data/store_reader.h"

namespace temper {

struct InspectOptions {
  std::string path;  // a run directory or its database
  int64_t run = 0;   // 0: the latest
  bool json = false;
  int64_t width = 60;  // of a table's cell
};

// The options that every `inspect` subcommand has; `of_a_run` adds --run.
OptionsTable inspect_options(InspectOptions& options, bool of_a_run = true);

// The run that --run names, or the latest. Throws UserError if there is none.
RunRow inspected_run(Database& database, const InspectOptions& options);

// Writes the table as the options say, or `nothing` if it has no rows (JSON: an empty array).
void write_table(Invocation& cli, const InspectOptions& options, const Table& table,
                 std::string_view nothing);

// The text of a cell; "" of any other kind.
std::string text_of(const Cell& cell);
// The text indented under a title; unless `full` only its last part, where the answer is.
void write_passage(std::ostream& out, const std::string& title, const std::string& text, bool full);

// What the rules said of one sample, a row each.
Table reward_table(const std::vector<RewardRow>& rewards);

// Parts of add_inspect(), one a file.
void add_inspect_runs(Subcommands& list);     // inspect, runs, evals, events, migrate
void add_inspect_curve(Subcommands& list);    // curve
void add_inspect_samples(Subcommands& list);  // samples
void add_inspect_groups(Subcommands& list);   // groups, verdicts
void add_inspect_sample(Subcommands& list);   // sample
void add_inspect_diff(Subcommands& list);     // diff
void add_inspect_sql(Subcommands& list);      // sql
void add_inspect_export(Subcommands& list);   // export
void add_inspect_prune(Subcommands& list);    // prune

}  // namespace temper
