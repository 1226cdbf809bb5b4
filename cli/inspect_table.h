// Rows for people (aligned columns) or for programs (JSON).
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/sqlite.h"

namespace temper {

// NULL, integer, real, text, or the bytes of a blob.
struct BlobCell {
  std::string bytes;
};
using Cell = std::variant<std::monostate, int64_t, double, std::string, BlobCell>;

// `text` with control characters and ill-formed UTF-8 spelled out (\n, \x1b), so that stored text
// cannot steer the terminal; newlines and tabs stay as they are if `keep_lines`.
std::string visible_text(std::string_view text, bool keep_lines = false);

// Terminal columns that UTF-8 text takes: 2 for East Asian wide characters and emoji.
size_t display_width(std::string_view text);

// The first characters of `text` up to `width` columns, with an ellipsis if something is left out.
std::string shortened(const std::string& text, size_t width);

// One value for people: a number in six digits, NULL as "-", text visible and cut to `width`
// columns (0: whole).
std::string cell_text(const Cell& cell, size_t width = 0);

// One value as JSON: text quoted, a blob in hexadecimal, NaN as null, infinities as text.
std::string json_value(const Cell& cell);

class Table {
 public:
  explicit Table(std::vector<std::string> columns) : columns_(std::move(columns)) {}
  // All rows of a statement that is bound and not yet stepped.
  static Table of(Statement& statement);

  void add(std::vector<Cell> row);  // as many cells as there are columns
  const std::vector<std::vector<Cell>>& rows() const { return rows_; }
  // Its first `count` rows.
  Table first(size_t count) const;

  // Aligned columns, numbers to the right, each cell at most `width` columns (0: no limit).
  void write_text(std::ostream& out, size_t width) const;
  // "column":value of one row, with commas between, for an object that has more.
  std::string json_members(size_t row) const;
  // An array of objects, one a line.
  void write_json(std::ostream& out) const;

 private:
  std::vector<std::string> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// The result of a query with its parameters in order.
template <class... Values>
Table query_table(Database& database, std::string_view sql, const Values&... values) {
  Statement statement = database.prepare(sql);
  statement.bind_all(values...);
  return Table::of(statement);
}

}  // namespace temper
