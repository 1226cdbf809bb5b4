// The safetensors files of a model folder as one set of tensors.
#pragma once

#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/checkpoint/safetensors.h"

namespace temper {

class Shards {
 public:
  // Opens model.safetensors, or the files that model.safetensors.index.json lists.
  // Throws UserError if the folder has neither or a file's header cannot be read.
  explicit Shards(const std::filesystem::path& dir);

  const StoredTensor* find(const std::string& name) const;  // nullptr if absent
  // All names, file by file in stored order.
  std::vector<std::string> names() const;
  // What is wrong with files and single tensors, one line each, without what find() tells.
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  void open(const std::filesystem::path& path);
  void open_index(const std::filesystem::path& path);

  std::vector<SafetensorsFile> files_;
  std::unordered_map<std::string, const StoredTensor*> by_name_;
  std::vector<std::string> problems_;
};

}  // namespace temper
