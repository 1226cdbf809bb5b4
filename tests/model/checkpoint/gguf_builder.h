// Writes small GGUF files for tests.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace temper::test {

class GgufBuilder {
 public:
  void text(const std::string& key, const std::string& value) {
    add_key(key, 8);
    put_text(values_, value);
  }
  void integer(const std::string& key, uint32_t value) {
    add_key(key, 4);
    put(values_, value);
  }
  void real(const std::string& key, float value) {
    add_key(key, 6);
    put(values_, value);
  }
  void texts(const std::string& key, const std::vector<std::string>& list) {
    add_key(key, 9);
    put(values_, uint32_t{8});
    put(values_, static_cast<uint64_t>(list.size()));
    for (const std::string& value : list) put_text(values_, value);
  }
  // `shape` row-major; `data` as the type's blocks.
  void tensor(const std::string& name, uint32_t type, const std::vector<uint64_t>& shape,
              const std::string& data) {
    put_text(directory_, name);
    put(directory_, static_cast<uint32_t>(shape.size()));
    for (size_t i = shape.size(); i-- > 0;) put(directory_, shape[i]);
    put(directory_, type);
    put(directory_, static_cast<uint64_t>(data_.size()));
    data_ += data;
    data_.resize((data_.size() + 31) / 32 * 32, '\0');
    ++tensors_;
  }
  void f32(const std::string& name, const std::vector<uint64_t>& shape,
           const std::vector<float>& values) {
    tensor(name, 0, shape,
           {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
  }

  std::string bytes() const {
    std::string out = "GGUF";
    put(out, uint32_t{3});
    put(out, tensors_);
    put(out, count_);
    out += values_ + directory_;
    out.resize((out.size() + 31) / 32 * 32, '\0');
    return out + data_;
  }

 private:
  template <class T>
  static void put(std::string& out, T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  static void put_text(std::string& out, const std::string& text) {
    put(out, static_cast<uint64_t>(text.size()));
    out += text;
  }
  void add_key(const std::string& key, uint32_t type) {
    put_text(values_, key);
    put(values_, type);
    ++count_;
  }

  std::string values_, directory_, data_;
  uint64_t tensors_ = 0, count_ = 0;
};

}  // namespace temper::test
