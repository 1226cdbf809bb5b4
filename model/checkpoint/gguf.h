// Files of the GGUF format (llama.cpp): typed metadata, tensor directory, aligned tensor data.
// Source: github.com/ggml-org/ggml, docs/gguf.md; the block layouts of ggml's quantised types.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "core/file.h"

namespace temper {

using GgufValue = std::variant<int64_t, double, bool, std::string, std::vector<int64_t>,
                               std::vector<double>, std::vector<std::string>>;

// One tensor. `shape` is row-major, the slowest dimension first (GGUF writes the reverse).
struct GgufTensor {
  std::string name;
  uint32_t type = 0;  // ggml's number: 0 F32, 1 F16, 2 Q4_0, 3 Q4_1, 8 Q8_0, 14 Q6_K, 30 BF16
  std::vector<int64_t> shape;
  const char* data = nullptr;
  size_t bytes = 0;

  int64_t numel() const;
};

// A memory-mapped GGUF file of version 2 or 3, little-endian.
class GgufFile {
 public:
  // Throws UserError: not GGUF, a version or type that is not known, or a file cut short; every
  // tensor that lies past its end is named.
  explicit GgufFile(const std::filesystem::path& path);

  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find(const std::string& name) const;  // nullptr if absent

  // Metadata by key. Throw UserError naming file and key if absent or of another kind; with a
  // fallback, only if of another kind.
  bool has(const std::string& key) const { return values_.contains(key); }
  int64_t integer(const std::string& key) const;
  int64_t integer_or(const std::string& key, int64_t fallback) const;
  double number_or(const std::string& key, double fallback) const;
  bool boolean_or(const std::string& key, bool fallback) const;
  std::string text_or(const std::string& key, const std::string& fallback) const;
  std::vector<std::string> texts(const std::string& key) const;  // empty if absent
  std::vector<int64_t> integers(const std::string& key) const;   // empty if absent
  std::vector<double> numbers(const std::string& key) const;     // empty if absent

  const std::filesystem::path& path() const { return file_.path(); }
  // Throws UserError with this file as the place.
  [[noreturn]] void fail(const std::string& what, const std::string& expected = "",
                         const std::string& found = "", const std::string& hint = "") const;

 private:
  friend class GgufParser;
  template <class T>
  const T* get(const std::string& key, const char* kind) const;

  MappedFile file_;
  std::map<std::string, GgufValue> values_;
  std::vector<GgufTensor> tensors_;
};

// "Q4_1" of 3; "type 12" of a type that Temper does not read.
std::string ggml_type_name(uint32_t type);

// target[i] = element i of the tensor as float. Types read: F32, F16, BF16, Q4_0, Q4_1, Q8_0, Q6_K.
// Shapes: target [numel]. Throws ContractError for another type (GgufFile refuses those).
void dequantize_ggml(const GgufTensor& tensor, float* target);

}  // namespace temper
