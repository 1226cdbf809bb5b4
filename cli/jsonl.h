// JSONL for the small subcommands: rows in with their line numbers, rows out to a file or stdout.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "core/json.h"

namespace temper {

struct JsonRow {
  Json json;
  std::string where;  // "train.jsonl:17"
};

// The rows of the file; blank lines are passed over. Throws UserError naming file and line for what
// is not a JSON object, and naming the file if it holds no row. `example` is such a row as is
// expected: "{\"ids\":[...]}".
std::vector<JsonRow> read_json_rows(const std::string& path, const std::string& example);

// Writes `text` to the file as a whole (a pipe or a device is written to as it is), or to `out` if
// the path is "-".
void write_result(const std::string& path, const std::string& text, std::ostream& out);

}  // namespace temper
