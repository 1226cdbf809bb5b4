#include "cli/inspect_table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "core/json.h"
#include "core/options.h"
#include "core/utf8.h"

namespace temper {
namespace {

// Blocks of Unicode whose characters take two columns; the ones that occur in training text.
bool is_wide(char32_t code) {
  return (code >= 0x1100 && code <= 0x115F) || (code >= 0x2E80 && code <= 0xA4CF) ||
         (code >= 0xAC00 && code <= 0xD7A3) || (code >= 0xF900 && code <= 0xFAFF) ||
         (code >= 0xFE30 && code <= 0xFE6F) || (code >= 0xFF00 && code <= 0xFF60) ||
         (code >= 0x1F300 && code <= 0x1FAFF) || (code >= 0x20000 && code <= 0x3FFFD);
}

std::string hex_byte(unsigned char byte) {
  char text[8];
  std::snprintf(text, sizeof text, "\\x%02x", byte);
  return text;
}

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

bool is_number(const Cell& cell) {
  return std::holds_alternative<int64_t>(cell) || std::holds_alternative<double>(cell);
}

Cell cell_of(const Statement& row, int column) {
  switch (row.type(column)) {
    case SqlType::integer:
      return row.get<int64_t>(column);
    case SqlType::real:
      return row.get<double>(column);
    case SqlType::text:
      return row.get<std::string>(column);
    case SqlType::blob: {
      const Blob blob = row.get<Blob>(column);
      return BlobCell{std::string(reinterpret_cast<const char*>(blob.data()), blob.size())};
    }
    case SqlType::null:
      return std::monostate();
  }
  return std::monostate();
}

std::string padded(const std::string& text, size_t width, bool right) {
  const std::string blanks(width - std::min(width, display_width(text)), ' ');
  return right ? blanks + text : text + blanks;
}

}  // namespace

std::string cell_text(const Cell& cell, size_t width) {
  if (const auto* integer = std::get_if<int64_t>(&cell)) return std::to_string(*integer);
  if (const auto* real = std::get_if<double>(&cell)) return short_number(*real);
  if (const auto* blob = std::get_if<BlobCell>(&cell)) {
    return "<" + std::to_string(blob->bytes.size()) + " bytes>";
  }
  if (const auto* text = std::get_if<std::string>(&cell)) {
    return shortened(visible_text(*text), width);
  }
  return "-";
}

std::string visible_text(std::string_view text, bool keep_lines) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = read_utf8(text, at);
    const char c = text[at];
    if (!step.valid) {
      for (uint32_t i = 0; i < step.length; ++i) result += hex_byte(text[at + i]);
    } else if (keep_lines && (c == '\n' || c == '\t')) {
      result += c;
    } else if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else if (c == '\r') {
      result += "\\r";
    } else if (step.code < 0x20 || step.code == 0x7f) {
      result += hex_byte(c);
    } else if (step.code >= 0x80 && step.code < 0xa0) {  // control characters of Latin-1
      result += "\\u00" + hex_byte(static_cast<unsigned char>(step.code)).substr(2);
    } else {
      result += text.substr(at, step.length);
    }
    at += step.length;
  }
  return result;
}

size_t display_width(std::string_view text) {
  size_t width = 0;
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = read_utf8(text, at);
    width += step.valid && is_wide(step.code) ? 2 : 1;
    at += step.length;
  }
  return width;
}

std::string shortened(const std::string& text, size_t width) {
  if (width == 0 || display_width(text) <= width) return text;
  std::string result;
  size_t used = 1;  // of the ellipsis
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = read_utf8(text, at);
    used += is_wide(step.code) ? 2 : 1;
    if (used > width) break;
    result += text.substr(at, step.length);
    at += step.length;
  }
  return result + "\u2026";
}

std::string json_value(const Cell& cell) {
  if (const auto* integer = std::get_if<int64_t>(&cell)) return std::to_string(*integer);
  if (const auto* real = std::get_if<double>(&cell)) {
    if (std::isnan(*real)) return "null";
    if (std::isinf(*real)) return *real > 0 ? "\"inf\"" : "\"-inf\"";
    return option_text(*real);
  }
  if (const auto* text = std::get_if<std::string>(&cell)) return quote_json(repair_utf8(*text));
  if (const auto* blob = std::get_if<BlobCell>(&cell)) {
    std::string hex;
    for (const char c : blob->bytes) hex += hex_byte(static_cast<unsigned char>(c)).substr(2);
    return "\"" + hex + "\"";
  }
  return "null";
}

Table Table::of(Statement& statement) {
  std::vector<std::string> names;
  for (int i = 0; i < statement.column_count(); ++i) names.push_back(statement.column_name(i));
  Table table(std::move(names));
  while (statement.step()) {
    std::vector<Cell> row;
    for (int i = 0; i < statement.column_count(); ++i) row.push_back(cell_of(statement, i));
    table.add(std::move(row));
  }
  return table;
}

void Table::add(std::vector<Cell> row) {
  require(row.size() == columns_.size(), "a table's row has another number of cells");
  rows_.push_back(std::move(row));
}

Table Table::first(size_t count) const {
  Table part(columns_);
  part.rows_.assign(rows_.begin(),
                    rows_.begin() + static_cast<std::ptrdiff_t>(std::min(count, rows_.size())));
  return part;
}

void Table::write_text(std::ostream& out, size_t width) const {
  std::vector<size_t> widths;
  std::vector<bool> right(columns_.size(), !rows_.empty());
  for (const std::string& name : columns_) widths.push_back(display_width(name));
  std::vector<std::vector<std::string>> texts;
  for (const auto& row : rows_) {
    texts.emplace_back();
    for (size_t i = 0; i < row.size(); ++i) {
      texts.back().push_back(cell_text(row[i], width));
      widths[i] = std::max(widths[i], display_width(texts.back()[i]));
      if (!is_number(row[i]) && !std::holds_alternative<std::monostate>(row[i])) right[i] = false;
    }
  }
  const auto write_row = [&](const std::vector<std::string>& row) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += (i == 0 ? "" : "  ") + padded(row[i], widths[i], right[i]);
    }
    line.resize(line.find_last_not_of(' ') + 1);
    out << line << '\n';
  };
  write_row(columns_);
  for (const auto& row : texts) write_row(row);
}

std::string Table::json_members(size_t row) const {
  std::string text;
  for (size_t i = 0; i < columns_.size(); ++i)
    text += (i == 0 ? "" : ",") + quote_json(columns_[i]) + ":" + json_value(rows_[row][i]);
  return text;
}

void Table::write_json(std::ostream& out) const {
  out << '[';
  for (size_t r = 0; r < rows_.size(); ++r)
    out << (r == 0 ? "\n{" : ",\n{") << json_members(r) << '}';
  out << (rows_.empty() ? "]\n" : "\n]\n");
}

}  // namespace temper
