#include "model/checkpoint/stored_weights.h"

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "core/json_fields.h"
#include "model/weights_shapes.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

std::vector<int64_t> dims_of(const Tensor& tensor) {
  return {tensor.shape.begin(), tensor.shape.begin() + tensor.rank};
}

}  // namespace

StoredWeights::StoredWeights(const fs::path& dir, ModelConfig& config,
                             std::vector<std::string>* warnings)
    : dir_(dir), shards_(dir) {
  read_block_size();
  drop_absent_mtp(config, warnings);
  ModelWeights shapes = shapes_of_weights(config);
  tensors_ = published_tensors(shapes, config);
  for (const PublishedTensor& wanted : tensors_) parts_.push_back(match(wanted));
  for (const std::string& name : shards_.names())
    if (!used_.contains(name) && !is_redundant(name, config))
      problems_.push_back(name + ": unexpected, config.json has no place for it");
  throw_problems();
}

void StoredWeights::read(size_t index, RowRange range, void* target, DType to) const {
  const Part& part = parts_[index];
  if (!part.scales.empty()) {
    dequantize_fp8(part.blocks, range, reinterpret_cast<const uint8_t*>(part.stored->data),
                   part.scales.data(), target, to);
    return;
  }
  const int64_t cols = tensors_[index].part.cols();
  const auto row_bytes = static_cast<int64_t>(size_of(part.dtype)) * cols;
  convert_elements(part.stored->data + range.begin * row_bytes, part.dtype, target, to,
                   range.count * cols);
}

void StoredWeights::drop_absent_mtp(ModelConfig& config, std::vector<std::string>* warnings) const {
  int64_t present = config.num_hidden_layers;
  for (const std::string& name : shards_.names()) present = std::max(present, layer_of(name) + 1);
  const int64_t modules =
      std::min(config.num_nextn_predict_layers, present - config.num_hidden_layers);
  if (modules == config.num_nextn_predict_layers) return;
  if (warnings != nullptr)
    warnings->push_back("config.json says num_nextn_predict_layers " +
                        std::to_string(config.num_nextn_predict_layers) + ", but the files hold " +
                        std::to_string(modules) + " MTP modules: loaded without the others");
  config.num_nextn_predict_layers = modules;
}

void StoredWeights::read_block_size() {
  const fs::path path = dir_ / "config.json";
  if (!fs::exists(path)) return;
  const Json json = parse_json(read_file(path), path.string());
  const JsonFields fields(json, path.string());
  if (!fields.has("quantization_config")) return;
  const JsonFields quantization = fields.object("quantization_config");
  const std::vector<int64_t> size = quantization.integers_or_none("weight_block_size", 1);
  if (size.empty()) return;
  if (size.size() != 2) quantization.fail("weight_block_size", "two integers");
  block_rows_ = size[0];
  block_cols_ = size[1];
}

StoredWeights::Part StoredWeights::match(const PublishedTensor& wanted) {
  Part part;
  used_.insert(wanted.name);
  part.stored = shards_.find(wanted.name);
  if (part.stored == nullptr) {
    problems_.push_back(wanted.name + ": missing");
    return part;
  }
  if (part.stored->shape != dims_of(wanted.part)) {
    problems_.push_back(wanted.name + ": wrong shape " + shape_text(part.stored->shape) +
                        ", config.json asks for " + shape_text(dims_of(wanted.part)));
    return part;
  }
  if (part.stored->data == nullptr) return part;  // shards_.problems() says why
  const std::optional<DType> dtype = safetensors_dtype(part.stored->dtype);
  if (!dtype || !is_float(*dtype)) {
    problems_.push_back(wanted.name + ": dtype " + part.stored->dtype +
                        " is not one of F32, F16, BF16, F64, F8_E4M3");
    return part;
  }
  part.dtype = *dtype;
  if (part.dtype == DType::f8_e4m3) find_scales(wanted, part);
  return part;
}

void StoredWeights::find_scales(const PublishedTensor& wanted, Part& part) {
  const std::string name = scale_name(wanted.name);
  used_.insert(name);
  const StoredTensor* stored = shards_.find(name);
  if (stored == nullptr) {
    problems_.push_back(name + ": missing, but " + wanted.name + " is F8_E4M3");
    return;
  }
  part.blocks = {wanted.part.rows(), wanted.part.cols(), block_rows_, block_cols_};
  const std::vector<int64_t> shape = {part.blocks.scale_rows(), part.blocks.scale_cols()};
  const std::optional<DType> dtype = safetensors_dtype(stored->dtype);
  if (stored->shape != shape || wanted.part.rank != 2) {
    problems_.push_back(name + ": wrong shape " + shape_text(stored->shape) + ", blocks of " +
                        shape_text({block_rows_, block_cols_}) + " ask for " + shape_text(shape));
  } else if (!dtype || !is_float(*dtype)) {
    problems_.push_back(name + ": dtype " + stored->dtype + " is not a float");
  } else if (stored->data != nullptr) {
    part.scales.resize(static_cast<size_t>(shape[0] * shape[1]));
    convert_elements(stored->data, *dtype, part.scales.data(), DType::f32, shape[0] * shape[1]);
  }
}

void StoredWeights::throw_problems() const {
  std::vector<std::string> all = shards_.problems();
  all.insert(all.end(), problems_.begin(), problems_.end());
  if (all.empty()) return;
  std::string list;
  for (const std::string& problem : all) list += "\n    " + problem;
  throw UserError({.what = "the weights do not fit config.json: " + std::to_string(all.size()) +
                           (all.size() == 1 ? " problem" : " problems"),
                   .where = dir_.string(),
                   .found = list,
                   .hint = "download or copy the files again, or correct config.json"});
}

}  // namespace temper
