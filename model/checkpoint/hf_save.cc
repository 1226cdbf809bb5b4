#include <algorithm>
#include <functional>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "model/checkpoint/elements.h"
#include "model/checkpoint/hf_folder.h"
#include "model/checkpoint/hf_names.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/staging_folder.h"
#include "model/checkpoint/stored_weights.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

// Gives rows of published tensor `index` as `to`, from memory or from other files.
using ReadRows = std::function<void(size_t index, RowRange range, void* target, DType to)>;

// One tensor to be written: weights as they are stored, or the scales of an FP8 matrix.
struct Item {
  SafetensorsEntry entry;
  size_t index = 0;  // of the published tensor
  int64_t rows = 0, cols = 0;
  bool is_scale = false;
};

DType stored_dtype(const PublishedTensor& tensor, StoredAs stored_as) {
  if (tensor.role == TensorRole::router_bias) return DType::f32;
  switch (stored_as) {
    case StoredAs::f32:
      return DType::f32;
    case StoredAs::f64:
      return DType::f64;
    case StoredAs::bf16:
      return DType::bf16;
    case StoredAs::fp8:
      return is_fp8_in_v3(tensor) ? DType::f8_e4m3 : DType::bf16;
  }
  return DType::f32;
}

std::vector<Item> items_of(const std::vector<PublishedTensor>& tensors, StoredAs stored_as) {
  std::vector<Item> items;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& part = tensors[i].part;
    Item item{.entry = {.name = tensors[i].name,
                        .dtype = stored_dtype(tensors[i], stored_as),
                        .shape = {part.shape.begin(), part.shape.begin() + part.rank}},
              .index = i,
              .rows = part.rows(),
              .cols = part.cols()};
    items.push_back(item);
    if (item.entry.dtype != DType::f8_e4m3) continue;
    const Fp8Blocks blocks{.rows = item.rows, .cols = item.cols};
    item.entry = {.name = scale_name(tensors[i].name),
                  .dtype = DType::f32,
                  .shape = {blocks.scale_rows(), blocks.scale_cols()}};
    item.is_scale = true;
    items.push_back(item);
  }
  return items;
}

// Cuts the list into files of at most `most` bytes each. A matrix and its scales stay together.
std::vector<std::vector<Item>> shard(std::vector<Item> items, int64_t most) {
  std::vector<std::vector<Item>> shards(1);
  int64_t bytes = 0;
  for (Item& item : items) {
    const auto size = static_cast<int64_t>(item.entry.bytes());
    if (!shards.back().empty() && bytes + size > most && !item.is_scale) {
      shards.emplace_back();
      bytes = 0;
    }
    bytes += size;
    shards.back().push_back(std::move(item));
  }
  // Readers view the mapped bytes as numbers: the widest types first keeps all of them aligned.
  for (std::vector<Item>& one : shards)
    std::stable_sort(one.begin(), one.end(), [](const Item& a, const Item& b) {
      return size_of(a.entry.dtype) > size_of(b.entry.dtype);
    });
  return shards;
}

// Writes a band of rows; a band of 128 is a row of FP8 blocks.
void write_band(SafetensorsWriter& writer, const Item& item, RowRange band, const ReadRows& read,
                std::vector<char>& buffer) {
  const int64_t n = band.count * item.cols;
  const bool is_fp8 = item.is_scale || item.entry.dtype == DType::f8_e4m3;
  const DType dtype = is_fp8 ? DType::f32 : item.entry.dtype;
  buffer.resize(static_cast<size_t>(n) * size_of(dtype));
  read(item.index, band, buffer.data(), dtype);
  if (!is_fp8) return writer.write(buffer.data(), buffer.size());
  const Fp8Blocks blocks{.rows = band.count, .cols = item.cols};
  std::vector<uint8_t> q(static_cast<size_t>(n));
  std::vector<float> scales(static_cast<size_t>(blocks.scale_cols()));
  quantize_fp8(blocks, reinterpret_cast<const float*>(buffer.data()), q.data(), scales.data());
  if (item.is_scale)
    writer.write(scales.data(), scales.size() * sizeof(float));
  else
    writer.write(q.data(), q.size());
}

void write_shard(const fs::path& path, const std::vector<Item>& items, const ReadRows& read) {
  std::vector<SafetensorsEntry> entries;
  for (const Item& item : items) entries.push_back(item.entry);
  // transformers refuses files that do not say which framework's layout they are in.
  SafetensorsWriter writer(path, entries, {{"format", "pt"}});
  std::vector<char> buffer;
  constexpr int64_t kBand = 128;
  for (const Item& item : items)
    for (int64_t row = 0; row < item.rows; row += kBand)
      write_band(writer, item, {row, std::min(kBand, item.rows - row)}, read, buffer);
  writer.finish();
}

std::string shard_name(size_t index, size_t count) {
  if (count == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return name;
}

void write_index(const fs::path& dir, const std::vector<std::vector<Item>>& shards) {
  size_t total = 0;
  std::string map;
  for (size_t i = 0; i < shards.size(); ++i) {
    for (const Item& item : shards[i]) {
      total += item.entry.bytes();
      map += std::string(map.empty() ? "" : ",\n") + "    " + quote_json(item.entry.name) + ": " +
             quote_json(shard_name(i, shards.size()));
    }
  }
  write_file_atomically(dir / "model.safetensors.index.json",
                        "{\n  \"metadata\": {\"total_size\": " + std::to_string(total) +
                            "},\n  \"weight_map\": {\n" + map + "\n  }\n}\n");
}

const char* torch_dtype(StoredAs stored_as) {
  switch (stored_as) {
    case StoredAs::f32:
      return "float32";
    case StoredAs::f64:
      return "float64";
    case StoredAs::bf16:
      return "bfloat16";
    case StoredAs::fp8:
      return "fp8";
  }
  return "";
}

void write_folder(const std::vector<PublishedTensor>& tensors, const ReadRows& read,
                  const ModelConfig& config, const fs::path& dir, const SaveOptions& options) {
  write_file_atomically(dir / "config.json",
                        model_config_json(config, torch_dtype(options.stored_as)));
  const auto shards = shard(items_of(tensors, options.stored_as), options.max_shard_bytes);
  for (size_t i = 0; i < shards.size(); ++i)
    write_shard(dir / shard_name(i, shards.size()), shards[i], read);
  if (shards.size() > 1) write_index(dir, shards);
  if (!options.tokenizer_from.empty()) copy_tokenizer_files(options.tokenizer_from, dir);
}

}  // namespace

void copy_tokenizer_files(const fs::path& from, const fs::path& to) {
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                           "tokenizer.model", "added_tokens.json", "vocab.json", "merges.txt",
                           "chat_template.jinja", "chat_template.json", "generation_config.json"})
    if (fs::exists(from / name))
      fs::copy_file(from / name, to / name, fs::copy_options::overwrite_existing);
}

void write_model_files(ModelWeights& weights, const ModelConfig& config, const fs::path& dir,
                       const SaveOptions& options) {
  const std::vector<PublishedTensor> tensors = published_tensors(weights, config);
  const ReadRows read = [&](size_t index, RowRange range, void* target, DType to) {
    const Tensor& part = tensors[index].part;
    require(part.contiguous(), "a weight that is not contiguous");
    const auto row_bytes = static_cast<int64_t>(size_of(part.dtype)) * part.cols();
    convert_elements(static_cast<const char*>(part.data) + range.begin * row_bytes, part.dtype,
                     target, to, range.count * part.cols());
  };
  write_folder(tensors, read, config, dir, options);
}

void save_model(ModelWeights& weights, const ModelConfig& config, const fs::path& dir,
                const SaveOptions& options) {
  StagingFolder staging(dir);
  write_model_files(weights, config, staging.path(), options);
  staging.commit();
}

ModelConfig rewrite_model(const fs::path& from, const fs::path& to, const SaveOptions& options,
                          std::vector<std::string>* warnings) {
  ModelConfig config = read_model_config(from);
  StagingFolder staging(to);
  {
    const StoredWeights stored(from, config, warnings);
    const ReadRows read = [&](size_t index, RowRange range, void* target, DType dtype) {
      stored.read(index, range, target, dtype);
    };
    write_folder(stored.tensors(), read, config, staging.path(), options);
  }
  staging.commit();
  return config;
}

}  // namespace temper
