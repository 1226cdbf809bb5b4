// Answers of a judge by the content of what it was asked.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace temper {

// In memory and, if it has a file, there too: one line {"key":...,"answers":[...]} a question. A
// line that was cut off by a crash is passed over.
class JudgeCache {
 public:
  // Throws UserError if the file is there but holds something else.
  explicit JudgeCache(const std::filesystem::path& file);

  // 128 bits of all that an answer depends on.
  static std::string key_of(const std::string& everything);

  // nullptr if the question is new.
  const std::vector<std::string>* find(const std::string& key) const;
  // Throws SystemError if the file cannot be written.
  void add(const std::string& key, const std::vector<std::string>& answers);

 private:
  std::filesystem::path file_;
  std::map<std::string, std::vector<std::string>> known_;
  bool ends_open_ = false;  // the file's last line has no end
};

}  // namespace temper
