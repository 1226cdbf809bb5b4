// Files of the safetensors format: a JSON header of names, types, shapes and offsets, then the
// bytes. Source: github.com/huggingface/safetensors, "Format".
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/dtype.h"
#include "core/file.h"

namespace temper {

// The format's name of a type ("BF16") and back; nullopt for a type that Temper does not know.
std::string_view safetensors_name(DType dtype);
std::optional<DType> safetensors_dtype(std::string_view name);

// One tensor of a mapped file. `data` need not be aligned; nullptr if the file has not all of it.
struct StoredTensor {
  std::string name;
  std::string dtype;  // as written in the header
  std::vector<int64_t> shape;
  const char* data = nullptr;
  size_t bytes = 0;
};
std::string shape_text(const std::vector<int64_t>& shape);  // "[4, 128]"

// A memory-mapped safetensors file. Reading a tensor touches its pages only.
class SafetensorsFile {
 public:
  // Throws UserError if there is no such file or its header cannot be read at all: too short, not
  // JSON, not an object. What is wrong with single tensors goes to problems().
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  const StoredTensor* find(const std::string& name) const;  // nullptr if absent
  // "model.norm.weight: truncated: ...", one line a tensor: offsets past the end of the file,
  // backwards, overlapping, of another size than shape and type ask for; names given twice.
  const std::vector<std::string>& problems() const { return problems_; }
  // The header's __metadata__ value of `key`, or "".
  std::string metadata(const std::string& key) const;

  // Throws UserError with all problems(), if any.
  void check() const;
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  void read_header();
  void check_overlaps();

  MappedFile file_;
  std::vector<StoredTensor> tensors_;
  std::unordered_map<std::string, size_t> by_name_;
  std::unordered_map<std::string, std::string> metadata_;
  std::vector<std::string> problems_;
};

// What a file is to hold, in the order in which the bytes will be written.
struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;

  size_t bytes() const;
};

// Writes the header at once and the tensors' bytes as they come. Move-only.
class SafetensorsWriter {
 public:
  // Throws SystemError if the file cannot be written.
  SafetensorsWriter(const std::filesystem::path& path, const std::vector<SafetensorsEntry>& entries,
                    const std::vector<std::pair<std::string, std::string>>& metadata = {});
  // Appends bytes; entries follow one another. Throws SystemError (a full disk).
  void write(const void* data, size_t bytes);
  // Closes the file. Throws ContractError unless exactly the promised bytes came.
  void finish();

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::filesystem::path path_;
  std::unique_ptr<std::FILE, Close> file_;
  size_t remaining_ = 0;
};

}  // namespace temper
