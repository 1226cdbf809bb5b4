// JSON rows of a file, one at a time, with the file and line of each for messages.
#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/json.h"

namespace temper {

// Reads JSON Lines (one object a line; empty lines are passed over), or a JSON file that holds one
// list of objects. Lines are read as they are needed; a list is read whole.
class JsonlReader {
 public:
  // Throws UserError if the file cannot be read.
  explicit JsonlReader(const std::filesystem::path& path);

  // Goes to the next row; false at the end of the file. Throws UserError naming file and line if
  // the line is not valid JSON or UTF-8, or not an object.
  bool next();

  // The present row, until the next call of next().
  const JsonValue& row() const { return *row_; }
  // "train.jsonl:17", or "test.json[16]" in a list.
  std::string where() const;

 private:
  bool next_line();

  std::filesystem::path path_;
  std::ifstream file_;
  std::string line_;
  Json json_;
  const JsonValue* row_ = nullptr;
  bool is_list_ = false;
  size_t number_ = 0;  // of the line, or of the next list member
};

}  // namespace temper
