// docs/database.md is the contract: it names all that is there, and its queries run.
#include <set>
#include <sstream>

#include "core/file.h"
#include "data/migrations.h"
#include "data/store_reader.h"
#include "tests/data/store_fixture.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

namespace {

std::string documentation() {
  return read_file(std::filesystem::path(test::source_dir()) / "docs" / "database.md");
}

std::vector<std::string> documented_queries() {
  std::vector<std::string> queries;
  std::istringstream lines(documentation());
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line == "```sql") {
      inside = true;
      queries.emplace_back();
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      queries.back() += line + "\n";
    }
  }
  return queries;
}

// The part of the page about one table: from its heading to the next.
std::string section_of(const std::string& table) {
  const std::string page = documentation();
  const size_t start = page.find("\n### `" + table + "`");
  if (start == std::string::npos) return "";
  return page.substr(start, page.find("\n### ", start + 1) - start);
}

std::set<std::string> column_names(Database& db, const std::string& table) {
  std::set<std::string> names;
  db.for_each_row(
      "SELECT name FROM pragma_table_info(?)",
      [&](Statement& row) { names.insert(row.get<std::string>(0)); }, table);
  return names;
}

// The names in backquotes in the first cell of each row of a section's table.
std::set<std::string> documented_names(const std::string& section) {
  std::set<std::string> names;
  std::istringstream lines(section);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("| `", 0) != 0) continue;
    std::istringstream cell(line.substr(2, line.find(" |", 2) - 2));
    for (std::string word; std::getline(cell, word, '`') && std::getline(cell, word, '`');) {
      names.insert(word);
    }
  }
  return names;
}

}  // namespace

TEST_CASE("the page on the database names exactly the columns of every table") {
  const TemporaryFolder folder;
  Store store(folder.path());
  Database& db = store.database();
  std::vector<std::string> tables;
  db.for_each_row("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
                  [&](Statement& row) { tables.push_back(row.get<std::string>(0)); });
  REQUIRE(tables.size() == 12);
  for (const std::string& table : tables) {
    INFO(table);
    REQUIRE(documented_names(section_of(table)) == column_names(db, table));
  }
  const std::string page = documentation();
  for (const char* view : {"sample_text", "sample_groups", "stage_inputs", "run_hours"}) {
    REQUIRE(page.find("`" + std::string(view) + "`") != std::string::npos);
  }
  const std::string version = "(now " + std::to_string(schema_version(db)) + ")";
  REQUIRE(page.find(version) != std::string::npos);
}

TEST_CASE("every query of the page on the database finds rows in a filled store") {
  const TemporaryFolder folder;
  {
    Store store(folder.path());
    const int64_t run = store.begin_run(small_run());
    for (int64_t step = 1; step <= 3; ++step) write_small_step(store, run, step);
    StepWriter writer(store, {run, "eval", 3}, 3);
    writer.add_eval({.task = "countdown", .prompts = 50, .pass_at_1 = 0.5, .standard_error = 0.1});
    writer.commit({});
  }
  Database db = open_for_reading(folder.path());
  const std::vector<std::string> queries = documented_queries();
  REQUIRE(queries.size() >= 10);
  for (const std::string& query : queries) {
    INFO(query);
    Statement statement = db.prepare(query);
    REQUIRE(statement.rest().find_first_not_of(" \n") == std::string::npos);
    REQUIRE(statement.read_only());
    int rows = 0;
    while (statement.step()) {
      ++rows;
      for (int column = 0; column < statement.column_count(); ++column) {
        const bool may_be_null =
            statement.column_name(column).find("_per_second") != std::string::npos;
        REQUIRE((may_be_null || !statement.is_null(column)));
      }
    }
    REQUIRE(rows > 0);
  }
}
