#include <algorithm>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "model/checkpoint/elements.h"
#include "model/checkpoint/hf_folder.h"
#include "model/checkpoint/hf_names.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/staging_folder.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

// One tensor to be written: weights as they are stored, or the scales of an FP8 matrix.
struct Item {
  SafetensorsEntry entry;
  Tensor source;
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

std::vector<Item> items_of(ModelWeights& weights, const ModelConfig& config, StoredAs stored_as) {
  std::vector<Item> items;
  for (const PublishedTensor& tensor : published_tensors(weights, config)) {
    const DType dtype = stored_dtype(tensor, stored_as);
    const Tensor& part = tensor.part;
    items.push_back({.entry = {.name = tensor.name,
                               .dtype = dtype,
                               .shape = {part.shape.begin(), part.shape.begin() + part.rank}},
                     .source = part});
    if (dtype != DType::f8_e4m3) continue;
    const Fp8Blocks blocks{.rows = part.rows(), .cols = part.cols()};
    items.push_back({.entry = {.name = scale_name(tensor.name),
                               .dtype = DType::f32,
                               .shape = {blocks.scale_rows(), blocks.scale_cols()}},
                     .source = part,
                     .is_scale = true});
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

void write_fp8(SafetensorsWriter& writer, const Item& item) {
  const Fp8Blocks blocks{.rows = item.source.rows(), .cols = item.source.cols()};
  std::vector<float> values(static_cast<size_t>(item.source.numel()));
  convert_elements(item.source.data, item.source.dtype, values.data(), DType::f32,
                   item.source.numel());
  std::vector<uint8_t> q(values.size());
  std::vector<float> scales(static_cast<size_t>(blocks.scale_rows() * blocks.scale_cols()));
  quantize_fp8(blocks, values.data(), q.data(), scales.data());
  if (item.is_scale)
    writer.write(scales.data(), scales.size() * sizeof(float));
  else
    writer.write(q.data(), q.size());
}

void write_item(SafetensorsWriter& writer, const Item& item) {
  require(item.source.contiguous(), "a weight that is not contiguous");
  if (item.is_scale || item.entry.dtype == DType::f8_e4m3) return write_fp8(writer, item);
  constexpr int64_t kChunk = int64_t{1} << 18;
  std::vector<char> chunk(static_cast<size_t>(std::min(kChunk, item.source.numel())) *
                          size_of(item.entry.dtype));
  const auto* source = static_cast<const char*>(item.source.data);
  for (int64_t i = 0; i < item.source.numel(); i += kChunk) {
    const int64_t n = std::min(kChunk, item.source.numel() - i);
    convert_elements(source + i * static_cast<int64_t>(size_of(item.source.dtype)),
                     item.source.dtype, chunk.data(), item.entry.dtype, n);
    writer.write(chunk.data(), static_cast<size_t>(n) * size_of(item.entry.dtype));
  }
}

void write_shard(const fs::path& path, const std::vector<Item>& items) {
  std::vector<SafetensorsEntry> entries;
  for (const Item& item : items) entries.push_back(item.entry);
  // transformers refuses files that do not say which framework's layout they are in.
  SafetensorsWriter writer(path, entries, {{"format", "pt"}});
  for (const Item& item : items) write_item(writer, item);
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
  write_file_atomically(dir / "config.json",
                        model_config_json(config, torch_dtype(options.stored_as)));
  const auto shards = shard(items_of(weights, config, options.stored_as), options.max_shard_bytes);
  for (size_t i = 0; i < shards.size(); ++i)
    write_shard(dir / shard_name(i, shards.size()), shards[i]);
  if (shards.size() > 1) write_index(dir, shards);
  if (!options.tokenizer_from.empty()) copy_tokenizer_files(options.tokenizer_from, dir);
}

void save_model(ModelWeights& weights, const ModelConfig& config, const fs::path& dir,
                const SaveOptions& options) {
  StagingFolder staging(dir);
  write_model_files(weights, config, staging.path(), options);
  staging.commit();
}

}  // namespace temper
