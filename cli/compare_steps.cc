#include "cli/compare_steps.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "cli/compare_runs.h"
#include "cli/inspect_table.h"
#include "core/options.h"

namespace temper {
namespace {

// Columns that say which row it is, and times.
constexpr std::array kNotCompared = {
    "id",           "run_id",    "kind",    "step",          "group_index",
    "rule",         "prompt_id", "started", "committed",     "wall_seconds",
    "sample_index", "sample_id", "name",    "queue_seconds", "generate_seconds",
    "microseconds"};
// NULL where an older schema, or a GPU that does not fetch its weights every step, left them out.
constexpr std::array kMayLack = {"entropies", "clips", "weights_checksum"};

template <size_t N>
bool is_among(const std::array<const char*, N>& names, const std::string& name) {
  return std::any_of(names.begin(), names.end(), [&](const char* n) { return name == n; });
}

// A table of a step: its rows in an order that both databases have.
struct Compared {
  const char* table;
  // Selects the columns named by %, behind two that name the row: a text, and its key.
  const char* sql;
};
constexpr std::array kTables = {
    Compared{"samples",
             "SELECT 'sample ' || t.id || ' (group ' || group_index || '.' || sample_index || ')',"
             " group_index || '.' || sample_index, % FROM samples t WHERE run_id = ?1"
             " AND kind = ?2 AND step = ?3 ORDER BY group_index, sample_index"},
    Compared{"rewards",
             "SELECT 'the verdict of ' || rule || ' on sample ' || t.sample_id, s.group_index ||"
             " '.' || s.sample_index || ' ' || rule, % FROM samples s JOIN rewards t"
             " ON t.sample_id = s.id WHERE run_id = ?1 AND kind = ?2 AND step = ?3"
             " ORDER BY group_index, sample_index, rule"},
    Compared{"metrics",
             "SELECT 'metric ' || name, name, % FROM metrics t WHERE run_id = ?1 AND kind = ?2"
             " AND step = ?3"},
    Compared{"steps",
             "SELECT 'the step', '', % FROM steps t WHERE run_id = ?1 AND kind = ?2 AND step = ?3"},
};

std::vector<std::string> columns_of(Database& db, const std::string& table) {
  std::vector<std::string> columns;
  db.for_each_row(
      "SELECT name FROM pragma_table_info(?)",
      [&](const Statement& row) {
        const auto name = row.get<std::string>(0);
        if (!is_among(kNotCompared, name)) columns.push_back(name);
      },
      table);
  return columns;
}

struct Row {
  std::string label, key;
  std::vector<Cell> cells;
};

std::vector<Row> rows_of(Database& db, const std::string& sql, const StepKey& key) {
  std::vector<Row> rows;
  const Table table = query_table(db, sql, key.run_id, key.kind, key.step);
  for (const std::vector<Cell>& cells : table.rows())
    rows.push_back({std::get<std::string>(cells[0]),
                    std::get<std::string>(cells[1]),
                    {cells.begin() + 2, cells.end()}});
  return rows;
}

bool same(const Cell& a, const Cell& b) {
  if (a.index() != b.index()) return false;
  if (const auto* x = std::get_if<double>(&a)) return *x == std::get<double>(b);
  if (const auto* x = std::get_if<BlobCell>(&a)) return x->bytes == std::get<BlobCell>(b).bytes;
  return json_value(a) == json_value(b);
}

template <class T>
T element(const BlobCell& blob, size_t i) {
  T value;
  std::memcpy(&value, blob.bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

// The first token at which two arrays differ.
void describe_arrays(StepDifference& d, const BlobCell& a, const BlobCell& b) {
  const bool bytes = d.column == "loss_mask" || d.column == "clips";
  const bool numbers =
      d.column.ends_with("logprobs") || d.column == "token_advantages" || d.column == "entropies";
  const size_t width = bytes ? 1 : d.column == "experts" ? 2 : 4;
  const size_t count = std::min(a.bytes.size(), b.bytes.size()) / width;
  size_t differing = 0, first = count;
  for (size_t i = count; i-- > 0;)
    if (std::memcmp(a.bytes.data() + i * width, b.bytes.data() + i * width, width) != 0)
      ++differing, first = i;
  d.stored = std::to_string(a.bytes.size() / width) + " entries";
  d.again = std::to_string(b.bytes.size() / width) + " entries";
  if (first == count) return;
  const auto text = [&](const BlobCell& blob) {
    if (numbers) return option_text(element<float>(blob, first));
    if (bytes) return std::to_string(element<uint8_t>(blob, first));
    return width == 2 ? std::to_string(element<uint16_t>(blob, first))
                      : std::to_string(element<int32_t>(blob, first));
  };
  d.column += "[" + std::to_string(first) + "]";
  const std::string more =
      differing > 1 ? " (" + std::to_string(differing) + " of " + std::to_string(count) + " differ)"
                    : "";
  d.stored = text(a);
  d.again = text(b) + more;
}

std::string words(const Cell& cell) {
  if (const auto* number = std::get_if<double>(&cell)) return option_text(*number);
  if (std::holds_alternative<std::monostate>(cell)) return "nothing";
  return cell_text(cell, 60);
}

StepDifference describe(int64_t step, const Row& row, const std::string& column, const Cell& a,
                        const Cell& b) {
  StepDifference d{
      .step = step, .where = row.label, .column = column, .stored = words(a), .again = words(b)};
  const auto* x = std::get_if<BlobCell>(&a);
  const auto* y = std::get_if<BlobCell>(&b);
  if (x != nullptr && y != nullptr) describe_arrays(d, *x, *y);
  return d;
}

bool is_time(const Compared& table, const std::string& key) {
  return table.table == std::string("metrics") && is_time_metric(key);
}

}  // namespace

std::vector<StepDifference> compare_step(Database& stored, const StepKey& key, Database& again,
                                         int64_t again_run) {
  std::vector<StepDifference> found;
  for (const Compared& table : kTables) {
    const std::vector<std::string> columns = columns_of(stored, table.table);
    std::string list;
    for (const std::string& column : columns) list += (list.empty() ? "t." : ", t.") + column;
    std::string sql = table.sql;
    sql.replace(sql.find('%'), 1, list);
    const std::vector<Row> rows = rows_of(again, sql, {again_run, key.kind, key.step});
    for (const Row& was : rows_of(stored, sql, key)) {
      const auto is_its = [&](const Row& row) { return row.key == was.key; };
      const auto now = std::find_if(rows.begin(), rows.end(), is_its);
      // A metric or a verdict beyond the run's own: a later release's, or a re-scoring's.
      if (now == rows.end() || is_time(table, was.key)) continue;
      for (size_t c = 0; c < columns.size(); ++c) {
        const bool lacking = std::holds_alternative<std::monostate>(was.cells[c]);
        if (same(was.cells[c], now->cells[c]) || (lacking && is_among(kMayLack, columns[c])))
          continue;
        found.push_back(describe(key.step, was, columns[c], was.cells[c], now->cells[c]));
      }
    }
  }
  return found;
}

}  // namespace temper
