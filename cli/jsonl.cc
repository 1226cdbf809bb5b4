#include "cli/jsonl.h"

#include "core/error.h"
#include "core/file.h"

namespace temper {

std::vector<JsonRow> read_json_rows(const std::string& path, const std::string& example) {
  const std::string text = read_file(path);
  std::vector<JsonRow> rows;
  int line = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view content = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++line;
    if (content.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = path + ":" + std::to_string(line);
    Json json = parse_json(content, where);
    if (!json.IsObject()) {
      throw UserError({.what = "a row is not a JSON object",
                       .where = where,
                       .expected = example,
                       .found = to_text(json).substr(0, 40),
                       .hint = {}});
    }
    rows.push_back({std::move(json), where});
  }
  if (rows.empty()) {
    throw UserError({.what = "the file holds no row",
                     .where = path,
                     .expected = "a JSON object a line: " + example,
                     .found = {},
                     .hint = {}});
  }
  return rows;
}

void write_result(const std::string& path, const std::string& text, std::ostream& out) {
  if (path == "-") {
    out << text;
  } else {
    write_file_atomically(path, text);
  }
}

}  // namespace temper
