#include "model/checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/error.h"
#include "core/json.h"

namespace temper {
namespace {

struct TypeName {
  const char* name;
  size_t bytes;
  std::optional<DType> dtype;
};
constexpr std::array<TypeName, 16> kTypes = {{{"F64", 8, DType::f64},
                                              {"F32", 4, DType::f32},
                                              {"F16", 2, DType::f16},
                                              {"BF16", 2, DType::bf16},
                                              {"F8_E4M3", 1, DType::f8_e4m3},
                                              {"F8_E5M2", 1, std::nullopt},
                                              {"F8_E8M0", 1, std::nullopt},
                                              {"I64", 8, DType::i64},
                                              {"U64", 8, std::nullopt},
                                              {"I32", 4, DType::i32},
                                              {"U32", 4, std::nullopt},
                                              {"I16", 2, std::nullopt},
                                              {"U16", 2, std::nullopt},
                                              {"I8", 1, std::nullopt},
                                              {"U8", 1, DType::u8},
                                              {"BOOL", 1, std::nullopt}}};

const TypeName* find_type(std::string_view name) {
  for (const TypeName& type : kTypes)
    if (name == type.name) return &type;
  return nullptr;
}

// The product of the shape times `unit`, or nullopt if a member is negative or it overflows.
std::optional<uint64_t> byte_count(const std::vector<int64_t>& shape, size_t unit) {
  uint64_t bytes = unit;
  for (const int64_t dim : shape)
    if (dim < 0 || __builtin_mul_overflow(bytes, static_cast<uint64_t>(dim), &bytes))
      return std::nullopt;
  return bytes;
}

// Reads a list of non-negative integers; false if it is something else.
bool read_integers(const JsonValue* list, std::vector<int64_t>* out) {
  if (list == nullptr || !list->IsArray()) return false;
  for (const JsonValue& item : list->GetArray()) {
    if (!item.IsInt64() || item.GetInt64() < 0) return false;
    out->push_back(item.GetInt64());
  }
  return true;
}

// Fills `tensor` from its header entry over `data` of `size` bytes; returns what is wrong, or "".
std::string read_entry(const JsonValue& entry, const char* data, size_t size,
                       StoredTensor* tensor) {
  const JsonValue* type = find_member(entry, "dtype");
  std::vector<int64_t> offsets;
  if (type == nullptr || !type->IsString() ||
      !read_integers(find_member(entry, "shape"), &tensor->shape) ||
      !read_integers(find_member(entry, "data_offsets"), &offsets) || offsets.size() != 2)
    return "its header entry needs dtype, shape and two data_offsets";
  tensor->dtype = type->GetString();
  const TypeName* known = find_type(tensor->dtype);
  if (known == nullptr) return "unknown dtype '" + tensor->dtype + "'";
  const std::string range =
      "bytes [" + std::to_string(offsets[0]) + ", " + std::to_string(offsets[1]) + ")";
  const std::optional<uint64_t> wanted = byte_count(tensor->shape, known->bytes);
  if (!wanted || offsets[1] < offsets[0] ||
      static_cast<uint64_t>(offsets[1] - offsets[0]) != *wanted)
    return range + " are not the size of " + tensor->dtype + " " + shape_text(tensor->shape);
  if (static_cast<uint64_t>(offsets[1]) > size)
    return "truncated: " + range + " lie past the " + std::to_string(size) +
           " bytes of data in the file";
  tensor->data = data + offsets[0];
  tensor->bytes = static_cast<size_t>(*wanted);
  return "";
}

}  // namespace

std::string_view safetensors_name(DType dtype) {
  for (const TypeName& type : kTypes)
    if (type.dtype == dtype) return type.name;
  require(false, "a dtype without a safetensors name");
  return "";
}

std::optional<DType> safetensors_dtype(std::string_view name) {
  const TypeName* type = find_type(name);
  return type == nullptr ? std::nullopt : type->dtype;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t dim : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(dim);
  return text + "]";
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  read_header();
}

void SafetensorsFile::read_header() {
  const std::string where = path().string();
  uint64_t header = 0;
  if (file_.size() >= 8) std::memcpy(&header, file_.data(), 8);
  if (file_.size() < 8 || header > file_.size() - 8)
    throw UserError({.what = "the header of this safetensors file is cut off",
                     .where = where,
                     .expected = "8 bytes of length and " + std::to_string(header) + " of header",
                     .found = std::to_string(file_.size()) + " bytes in all",
                     .hint = "download or copy the file again"});
  const Json json =
      parse_json({file_.data() + 8, static_cast<size_t>(header)}, where + " (header)");
  if (!json.IsObject())
    throw UserError(
        {.what = "the header of this safetensors file is not a JSON object", .where = where});
  const char* data = file_.data() + 8 + header;
  const size_t size = file_.size() - 8 - static_cast<size_t>(header);
  for (const auto& member : json.GetObject()) {
    const std::string name(member.name.GetString(), member.name.GetStringLength());
    if (name == "__metadata__") {
      if (!member.value.IsObject()) continue;
      for (const auto& pair : member.value.GetObject())
        if (pair.value.IsString()) metadata_[pair.name.GetString()] = pair.value.GetString();
      continue;
    }
    StoredTensor tensor;
    tensor.name = name;
    const std::string problem = read_entry(member.value, data, size, &tensor);
    if (!problem.empty()) problems_.push_back(name + ": " + problem);
    if (!by_name_.emplace(name, tensors_.size()).second)
      problems_.push_back(name + ": named twice in the header");
    tensors_.push_back(std::move(tensor));
  }
  check_overlaps();
}

void SafetensorsFile::check_overlaps() {
  std::vector<const StoredTensor*> order;
  for (const StoredTensor& tensor : tensors_)
    if (tensor.bytes > 0) order.push_back(&tensor);
  std::sort(order.begin(), order.end(),
            [](const auto* a, const auto* b) { return a->data < b->data; });
  for (size_t i = 1; i < order.size(); ++i)
    if (order[i - 1]->data + order[i - 1]->bytes > order[i]->data)
      problems_.push_back(order[i]->name + ": its bytes overlap those of " + order[i - 1]->name);
}

const StoredTensor* SafetensorsFile::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

std::string SafetensorsFile::metadata(const std::string& key) const {
  const auto found = metadata_.find(key);
  return found == metadata_.end() ? "" : found->second;
}

void SafetensorsFile::check() const {
  if (problems_.empty()) return;
  std::string list;
  for (const std::string& problem : problems_) list += "\n    " + problem;
  throw UserError({.what = std::to_string(problems_.size()) + " tensors cannot be read",
                   .where = path().string(),
                   .found = list,
                   .hint = "download or copy the file again"});
}

size_t SafetensorsEntry::bytes() const {
  const std::optional<uint64_t> bytes = byte_count(shape, size_of(dtype));
  require(bytes.has_value(), "a tensor too large to write");
  return static_cast<size_t>(*bytes);
}

SafetensorsWriter::SafetensorsWriter(
    const std::filesystem::path& path, const std::vector<SafetensorsEntry>& entries,
    const std::vector<std::pair<std::string, std::string>>& metadata)
    : path_(path), file_(std::fopen(path.c_str(), "wbe")) {
  if (file_ == nullptr) throw_errno("cannot write " + path.string());
  std::string header = "{\"__metadata__\":{";
  for (const auto& [key, value] : metadata)
    header += (header.back() == '{' ? "" : ",") + quote_json(key) + ":" + quote_json(value);
  header += "}";
  size_t offset = 0;
  for (const SafetensorsEntry& entry : entries) {
    const size_t end = offset + entry.bytes();
    header += "," + quote_json(entry.name) + ":{\"dtype\":\"" +
              std::string(safetensors_name(entry.dtype)) + "\",\"shape\":[";
    for (size_t i = 0; i < entry.shape.size(); ++i)
      header += (i == 0 ? "" : ",") + std::to_string(entry.shape[i]);
    header += "],\"data_offsets\":[" + std::to_string(offset) + "," + std::to_string(end) + "]}";
    offset = end;
  }
  header += "}";
  header.resize((header.size() + 8 + 63) / 64 * 64 - 8, ' ');  // so that the data starts aligned
  const uint64_t length = header.size();
  remaining_ = 8 + header.size() + offset;
  write(&length, 8);
  write(header.data(), header.size());
}

void SafetensorsWriter::write(const void* data, size_t bytes) {
  require(bytes <= remaining_, "more bytes than the header promised");
  if (bytes > 0 && std::fwrite(data, 1, bytes, file_.get()) != bytes)
    throw_errno("cannot write " + path_.string());
  remaining_ -= bytes;
}

void SafetensorsWriter::finish() {
  require(remaining_ == 0, "fewer bytes than the header promised");
  if (std::fclose(file_.release()) != 0) throw_errno("cannot write " + path_.string());
}

}  // namespace temper
