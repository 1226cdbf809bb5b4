// Numbers, texts and arrays as one run of bytes, and back with every length checked.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/error.h"

namespace temper {

static_assert(std::endian::native == std::endian::little, "values are stored as they lie");

class ByteWriter {
 public:
  template <class T>
  void put(T value) {
    static_assert(std::is_arithmetic_v<T>);
    append(&value, sizeof value);
  }
  void put_text(std::string_view text) {
    put<uint64_t>(text.size());
    append(text.data(), text.size());
  }
  template <class T>
  void put_array(const std::vector<T>& values) {
    static_assert(std::is_arithmetic_v<T>);
    put<uint64_t>(values.size());
    append(values.data(), values.size() * sizeof(T));
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void append(const void* data, size_t size) {
    if (size > 0) bytes_.append(static_cast<const char*>(data), size);
  }

  std::string bytes_;
};

// Reads in the order of writing. Throws UserError naming `where` when the bytes end too early or
// are left over.
class ByteReader {
 public:
  ByteReader(std::string_view bytes, std::string where) : rest_(bytes), where_(std::move(where)) {}

  template <class T>
  T get() {
    static_assert(std::is_arithmetic_v<T>);
    T value;
    std::memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }
  std::string get_text() {
    const size_t size = get_count(1);
    return {take(size), size};
  }
  template <class T>
  std::vector<T> get_array() {
    std::vector<T> values(get_count(sizeof(T)));
    const size_t size = values.size() * sizeof(T);
    if (size > 0) std::memcpy(values.data(), take(size), size);
    return values;
  }
  // A count of things that take at least `unit` bytes each, so that a wrong one asks for no memory.
  size_t get_count(size_t unit) {
    const auto count = get<uint64_t>();
    if (count > rest_.size() / unit) fail("a length past the end");
    return static_cast<size_t>(count);
  }
  void finish() const {
    if (!rest_.empty()) fail(std::to_string(rest_.size()) + " bytes too many");
  }
  [[noreturn]] void fail(const std::string& found) const {
    throw UserError({.what = "the stored bytes cannot be read", .where = where_, .found = found});
  }

 private:
  const char* take(size_t size) {
    if (size > rest_.size()) fail("an end too early");
    const char* data = rest_.data();
    rest_.remove_prefix(size);
    return data;
  }

  std::string_view rest_;
  std::string where_;
};

}  // namespace temper
