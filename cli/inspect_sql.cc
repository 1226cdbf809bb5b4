// temper inspect sql: a query on a connection that cannot write.
#include "cli/inspect.h"
#include "core/error.h"

namespace temper {
namespace {

struct SqlOptions {
  InspectOptions inspect;
  std::string query;
};

bool is_blank(const std::string& text) {
  return text.find_first_not_of(" \t\r\n;") == std::string::npos;
}

int run_query(Invocation& cli, const SqlOptions& options) {
  Database db = open_for_reading(options.inspect.path);
  try {
    Statement statement = db.prepare(options.query);
    if (!is_blank(statement.rest())) {
      throw UserError({.what = "more than one statement",
                       .where = "inspect sql",
                       .found = statement.rest(),
                       .hint = "give one query at a time"});
    }
    if (!statement.read_only()) {
      throw UserError({.what = "the statement would change the database",
                       .where = "inspect sql",
                       .expected = "a SELECT",
                       .hint = "use the sqlite3 shell on a copy to change rows"});
    }
    write_table(cli, options.inspect, Table::of(statement), "(no rows)");
  } catch (const SqliteError& error) {
    throw UserError({.what = error.what(),
                     .where = "inspect sql",
                     .hint = "docs/database.md names the tables and columns"});
  }
  return 0;
}

}  // namespace

void add_inspect_sql(Subcommands& list) {
  const auto options = std::make_shared<SqlOptions>();
  OptionsTable table = inspect_options(options->inspect, false);
  table.add("query", &options->query, "one SQL query").value_name("SQL").positional().required();
  list.add({.name = "inspect sql",
            .about = "a SQL query, read-only, as a table or JSON",
            .examples = "  temper inspect sql RUN_DIR \"SELECT step, avg(reward) FROM samples"
                        " GROUP BY step\"",
            .options = std::move(table),
            .run = [options](Invocation& cli) { return run_query(cli, *options); }});
}

}  // namespace temper
