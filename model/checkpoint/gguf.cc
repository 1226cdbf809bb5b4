#include "model/checkpoint/gguf.h"

#include <cstring>

#include "core/error.h"
#include "model/checkpoint/ggml_types.h"

namespace temper {

// Walks the bytes from the front; every read is checked against the end of the file.
class GgufParser {
 public:
  explicit GgufParser(GgufFile& file)
      : file_(file), at_(file.file_.data()), end_(at_ + file.file_.size()) {}

  void parse() {
    if (end_ - at_ < 4 || std::memcmp(at_, "GGUF", 4) != 0)
      file_.fail("not a GGUF file", "the letters GGUF at its start");
    at_ += 4;
    const auto version = read<uint32_t>();
    if (version != 2 && version != 3)
      file_.fail("a GGUF version that Temper does not read", "2 or 3", std::to_string(version));
    const auto tensors = read<uint64_t>(), values = read<uint64_t>();
    for (uint64_t i = 0; i < values; ++i) {
      std::string key = text();
      file_.values_[std::move(key)] = value(read<uint32_t>());
    }
    std::vector<uint64_t> offsets;
    for (uint64_t i = 0; i < tensors; ++i) offsets.push_back(directory_entry());
    place(offsets);
  }

 private:
  template <class T>
  T read() {
    if (static_cast<size_t>(end_ - at_) < sizeof(T)) file_.fail("the file is cut short");
    T number;
    std::memcpy(&number, at_, sizeof(T));
    at_ += sizeof(T);
    return number;
  }

  std::string text() {
    const auto length = read<uint64_t>();
    if (length > static_cast<uint64_t>(end_ - at_)) file_.fail("the file is cut short");
    std::string out(at_, static_cast<size_t>(length));
    at_ += length;
    return out;
  }

  GgufValue value(uint32_t type) {
    switch (type) {
      case 6:
      case 12:
        return real(type);
      case 7:
        return read<uint8_t>() != 0;
      case 8:
        return text();
      case 9:
        return array();
      default:
        return integer(type);
    }
  }

  double real(uint32_t type) { return type == 6 ? read<float>() : read<double>(); }

  int64_t integer(uint32_t type) {
    switch (type) {
      case 0:
        return read<uint8_t>();
      case 1:
        return read<int8_t>();
      case 2:
        return read<uint16_t>();
      case 3:
        return read<int16_t>();
      case 4:
        return read<uint32_t>();
      case 5:
        return read<int32_t>();
      case 7:
        return read<uint8_t>();
      case 10:
        return static_cast<int64_t>(read<uint64_t>());
      case 11:
        return read<int64_t>();
      default:
        file_.fail("a metadata type that is not known", "0 to 12", std::to_string(type));
    }
  }

  GgufValue array() {
    const auto type = read<uint32_t>();
    const auto count = read<uint64_t>();
    if (count > static_cast<uint64_t>(end_ - at_)) file_.fail("the file is cut short");
    std::vector<std::string> texts;
    std::vector<double> numbers;
    std::vector<int64_t> integers;
    for (uint64_t i = 0; i < count; ++i) {
      if (type == 8)
        texts.push_back(text());
      else if (type == 6 || type == 12)
        numbers.push_back(real(type));
      else
        integers.push_back(integer(type));
    }
    if (type == 8) return texts;
    if (type == 6 || type == 12) return numbers;
    return integers;
  }

  // Reads name, shape and type of one tensor; returns its offset into the data.
  uint64_t directory_entry() {
    GgufTensor tensor;
    tensor.name = text();
    const auto rank = read<uint32_t>();
    if (rank == 0 || rank > 4) file_.fail(tensor.name + ": more than four dimensions");
    uint64_t most = uint64_t{1} << 40;  // numbers in a tensor: no product overflows
    for (uint32_t i = 0; i < rank; ++i) {
      const auto dim = read<uint64_t>();
      if (dim == 0 || dim > most) file_.fail(tensor.name + ": an absurd dimension");
      most /= dim;
      tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(dim));
    }
    tensor.type = read<uint32_t>();
    file_.tensors_.push_back(std::move(tensor));
    return read<uint64_t>();
  }

  // Finds each tensor's bytes, once the end of the directory is known.
  void place(const std::vector<uint64_t>& offsets) {
    const auto alignment = static_cast<uint64_t>(file_.integer_or("general.alignment", 32));
    if (alignment == 0) file_.fail("general.alignment is 0");
    const auto used = static_cast<uint64_t>(at_ - file_.file_.data());
    const uint64_t start = (used + alignment - 1) / alignment * alignment;
    const uint64_t size = file_.file_.size();
    std::string problems;
    for (size_t i = 0; i < offsets.size(); ++i) {
      GgufTensor& tensor = file_.tensors_[i];
      const GgmlType* type = find_ggml_type(tensor.type);
      if (type == nullptr) {
        problems += "\n    " + tensor.name + ": " + ggml_type_name(tensor.type) +
                    " is not one of F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q6_K";
        continue;
      }
      if (tensor.shape.back() % type->block != 0) {
        problems += "\n    " + tensor.name + ": rows that are not whole blocks of " + type->name;
        continue;
      }
      tensor.bytes = static_cast<size_t>(tensor.numel() / type->block) * type->bytes;
      const uint64_t begin = start + offsets[i];
      if (offsets[i] > size || begin > size || tensor.bytes > size - begin)
        problems += "\n    " + tensor.name + ": truncated, it lies past the end of the file";
      else
        tensor.data = file_.file_.data() + begin;
    }
    if (!problems.empty()) file_.fail("tensors that cannot be read", "", problems);
  }

  GgufFile& file_;
  const char* at_;
  const char* end_;
};

int64_t GgufTensor::numel() const {
  int64_t n = 1;
  for (const int64_t dim : shape) n *= dim;
  return n;
}

GgufFile::GgufFile(const std::filesystem::path& path) : file_(path) {
  GgufParser(*this).parse();
}

const GgufTensor* GgufFile::find(const std::string& name) const {
  for (const GgufTensor& tensor : tensors_)
    if (tensor.name == name) return &tensor;
  return nullptr;
}

void GgufFile::fail(const std::string& what, const std::string& expected, const std::string& found,
                    const std::string& hint) const {
  throw UserError(
      {.what = what, .where = path().string(), .expected = expected, .found = found, .hint = hint});
}

template <class T>
const T* GgufFile::get(const std::string& key, const char* kind) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return nullptr;
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) fail("metadata '" + key + "' is of another kind", kind);
  return value;
}

int64_t GgufFile::integer(const std::string& key) const {
  const auto* value = get<int64_t>(key, "an integer");
  if (value == nullptr) fail("metadata '" + key + "' is missing", "an integer");
  return *value;
}

int64_t GgufFile::integer_or(const std::string& key, int64_t fallback) const {
  const auto* value = get<int64_t>(key, "an integer");
  return value == nullptr ? fallback : *value;
}

double GgufFile::number_or(const std::string& key, double fallback) const {
  const auto* value = get<double>(key, "a number");
  return value == nullptr ? fallback : *value;
}

bool GgufFile::boolean_or(const std::string& key, bool fallback) const {
  const auto* value = get<bool>(key, "true or false");
  return value == nullptr ? fallback : *value;
}

std::string GgufFile::text_or(const std::string& key, const std::string& fallback) const {
  const auto* value = get<std::string>(key, "a string");
  return value == nullptr ? fallback : *value;
}

std::vector<std::string> GgufFile::texts(const std::string& key) const {
  const auto* value = get<std::vector<std::string>>(key, "a list of strings");
  return value == nullptr ? std::vector<std::string>() : *value;
}

std::vector<int64_t> GgufFile::integers(const std::string& key) const {
  const auto* value = get<std::vector<int64_t>>(key, "a list of integers");
  return value == nullptr ? std::vector<int64_t>() : *value;
}

std::vector<double> GgufFile::numbers(const std::string& key) const {
  const auto* value = get<std::vector<double>>(key, "a list of numbers");
  return value == nullptr ? std::vector<double>() : *value;
}

std::string ggml_type_name(uint32_t type) {
  const GgmlType* known = find_ggml_type(type);
  return known != nullptr ? known->name : "type " + std::to_string(type);
}

void dequantize_ggml(const GgufTensor& tensor, float* target) {
  const GgmlType* type = find_ggml_type(tensor.type);
  require(type != nullptr && tensor.data != nullptr, "a GGUF tensor that cannot be read");
  type->decode(tensor.data, tensor.numel() / type->block, target);
}

}  // namespace temper
