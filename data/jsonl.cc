#include "data/jsonl.h"

#include "core/error.h"
#include "core/file.h"
#include "core/utf8.h"

namespace temper {

JsonlReader::JsonlReader(const std::filesystem::path& path) : path_(path), file_(path) {
  if (!file_ || std::filesystem::is_directory(path)) {
    throw UserError({.what = "the data file cannot be read",
                     .where = path.string(),
                     .hint = "a JSON Lines file is expected: one object a line"});
  }
  file_ >> std::ws;
  if (file_.peek() == '[') {
    is_list_ = true;
    json_ = parse_json(read_file(path), path.string());
    file_.close();
  } else {
    file_.clear();
    file_.seekg(0);
  }
}

std::string JsonlReader::where() const {
  if (is_list_) return path_.string() + "[" + std::to_string(number_ - 1) + "]";
  return path_.string() + ":" + std::to_string(number_);
}

bool JsonlReader::next() {
  if (is_list_) {
    if (number_ >= json_.Size()) return false;
    row_ = &json_[static_cast<rapidjson::SizeType>(number_++)];
  } else if (!next_line()) {
    return false;
  }
  if (!row_->IsObject()) {
    throw UserError({.what = "the row is not a JSON object",
                     .where = where(),
                     .expected = "{...}",
                     .found = to_text(*row_).substr(0, 40)});
  }
  return true;
}

bool JsonlReader::next_line() {
  do {
    if (!std::getline(file_, line_)) {
      if (file_.bad()) throw SystemError("reading " + path_.string() + " failed");
      return false;
    }
    ++number_;
  } while (line_.find_first_not_of(" \t\r") == std::string::npos);
  if (const size_t wrong = find_invalid_utf8(line_); wrong != std::string::npos) {
    throw UserError({.what = "the line is not UTF-8",
                     .where = where() + ", byte " + std::to_string(wrong + 1),
                     .hint = "convert the file to UTF-8 (iconv)"});
  }
  json_ = parse_json(line_, where());
  row_ = &json_;
  return true;
}

}  // namespace temper
