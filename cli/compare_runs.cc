#include "cli/compare_runs.h"

#include <algorithm>
#include <array>
#include <set>

#include "core/file.h"
#include "data/store_reader.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

// Times, and what says how the run was called. A checkpoint's own state has the checksum of files
// in which a stored rollout keeps its times.
constexpr std::array kNotCompared = {
    "started",      "finished",         "committed",    "saved",         "removed",
    "wall_seconds", "command_line",     "config",       "queue_seconds", "microseconds",
    "environment",  "generate_seconds", "trainer_state"};
// Metrics that are times, or speeds of them, or memory; an evaluation's stand behind its task.
constexpr std::array<std::string_view, 3> kTimeMetrics = {"seconds/", "speed/", "memory/"};

std::vector<std::string> texts(Database& db, const std::string& sql) {
  std::vector<std::string> out;
  db.for_each_row(sql, [&](const Statement& row) { out.push_back(row.get<std::string>(0)); });
  return out;
}

// "id, run_id, ..." of a table, without what is not compared.
std::string columns_of(Database& db, const std::string& table) {
  std::string list;
  for (const std::string& column : texts(db, "SELECT name FROM pragma_table_info('" + table + "')"))
    if (std::find(kNotCompared.begin(), kNotCompared.end(), column) == kNotCompared.end())
      list += (list.empty() ? "" : ", ") + column;
  return list;
}

// The rows that `from` has and `other` lacks: how many, and the first of them as text.
RunDifference only_in(Database& db, const std::string& table, const std::string& from,
                      const std::string& other) {
  const std::string columns = columns_of(db, table);
  std::string filter;
  for (const std::string_view prefix : kTimeMetrics)
    if (table == "metrics")
      filter +=
          (filter.empty() ? " WHERE '/' || name NOT LIKE '%/" : " AND '/' || name NOT LIKE '%/") +
          std::string(prefix) + "%'";
  const auto rows = [&](const std::string& schema) {
    return "SELECT " + columns + " FROM " + schema + "." + table + filter;
  };
  const std::string missing = rows(from) + " EXCEPT " + rows(other);
  RunDifference found{.what = table};
  found.rows = *db.value<int64_t>("SELECT count(*) FROM (" + rows(from) + ")");
  found.differing = *db.value<int64_t>("SELECT count(*) FROM (" + missing + ")");
  if (found.differing == 0) return found;
  Statement first = db.prepare(missing + " LIMIT 1");
  if (!first.step()) return found;
  for (int c = 0; c < first.column_count() && c < 6; ++c)
    found.example += (c == 0 ? "" : ", ") + first.column_name(c) + " " +
                     (first.type(c) == SqlType::blob ? "..." : first.get<std::string>(c));
  return found;
}

RunDifference compare_table(Database& db, const std::string& table) {
  RunDifference forth = only_in(db, table, "main", "other");
  const RunDifference back = only_in(db, table, "other", "main");
  if (forth.differing == 0) forth.example = back.example;
  forth.differing = std::max(forth.differing, back.differing);
  return forth;
}

std::set<std::string> files_of(const fs::path& dir) {
  std::set<std::string> names;
  if (fs::is_directory(dir))
    for (const auto& entry : fs::directory_iterator(dir))
      names.insert(entry.path().filename().string());
  return names;
}

}  // namespace

bool is_time_metric(std::string_view name) {
  return std::any_of(kTimeMetrics.begin(), kTimeMetrics.end(), [&](std::string_view prefix) {
    return name.starts_with(prefix) ||
           name.find("/" + std::string(prefix)) != std::string_view::npos;
  });
}

RunDifference compare_file(const fs::path& a, const fs::path& b, const std::string& prefix,
                           const std::string& name) {
  RunDifference found{.what = prefix + name, .file = true};
  if (!fs::exists(a / name) || !fs::exists(b / name)) {
    found.differing = 1;
    found.example = "only one run has it";
    return found;
  }
  const MappedFile x(a / name), y(b / name);
  found.rows = static_cast<int64_t>(x.size());
  const size_t common = std::min(x.size(), y.size());
  const auto at =
      static_cast<size_t>(std::mismatch(x.data(), x.data() + common, y.data()).first - x.data());
  if (at == x.size() && at == y.size()) return found;
  found.differing = 1;
  found.example = "from byte " + std::to_string(at) + " on";
  return found;
}

std::vector<RunDifference> compare_runs(const fs::path& a, const fs::path& b) {
  std::vector<RunDifference> found;
  Database db = open_for_reading(a);
  attach_for_reading(db, b);
  for (const std::string& table :
       texts(db,
             "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name <> 'events'"
             " AND name NOT LIKE 'sqlite_%' ORDER BY name"))
    found.push_back(compare_table(db, table));
  std::set<std::string> names = files_of(a / "model");
  names.merge(files_of(b / "model"));
  for (const std::string& name : names)
    found.push_back(compare_file(a / "model", b / "model", "model/", name));
  return found;
}

}  // namespace temper
