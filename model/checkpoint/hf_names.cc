#include "model/checkpoint/hf_names.h"

#include <charconv>
#include <string_view>

namespace temper {
namespace {

constexpr std::string_view kLayers = "model.layers.";

// Shapes without memory have no slices: of them only the shape is taken.

// Part p of a tensor's rows.
Tensor part_of(const Tensor& whole, int64_t p, int64_t parts) {
  if (parts == 1) return whole;
  const int64_t rows = whole.dim(0) / parts;
  return whole.data == nullptr ? make_tensor(nullptr, whole.dtype, {rows, whole.dim(1)})
                               : whole.slice_rows(p * rows, rows);
}

// One matrix of a stack.
Tensor expert_of(const Tensor& stack, int64_t e) {
  if (stack.data == nullptr) return make_tensor(nullptr, stack.dtype, {stack.dim(1), stack.dim(2)});
  return stack.slice_rows(e, 1).reshape({stack.dim(1), stack.dim(2)});
}

std::string name_of_expert(std::string name, int64_t e) {
  const size_t star = name.find('*');
  require(star != std::string::npos, "a stack of experts without '*' in its name");
  return name.replace(star, 1, std::to_string(e));
}

}  // namespace

std::vector<PublishedTensor> published_tensors(ModelWeights& weights, const ModelConfig& config) {
  std::vector<PublishedTensor> published;
  for (const NamedTensor& named : tensors_of(weights, config)) {
    const auto parts = static_cast<int64_t>(named.parts.size());
    for (int64_t p = 0; p < parts; ++p) {
      const std::string& name = named.parts[static_cast<size_t>(p)];
      if (named.role != TensorRole::experts) {
        published.push_back({name, named.role, part_of(*named.tensor, p, parts)});
        continue;
      }
      for (int64_t e = 0; e < named.tensor->dim(0); ++e)
        published.push_back(
            {name_of_expert(name, e), named.role, part_of(expert_of(*named.tensor, e), p, parts)});
    }
  }
  return published;
}

int64_t layer_of(const std::string& name) {
  if (!name.starts_with(kLayers)) return -1;
  int64_t layer = -1;
  const char* begin = name.data() + kLayers.size();
  const auto [end, error] = std::from_chars(begin, name.data() + name.size(), layer);
  return error == std::errc() && *end == '.' ? layer : -1;
}

bool is_redundant(const std::string& name, const ModelConfig& config) {
  if (name.ends_with(".rotary_emb.inv_freq")) return true;
  if (name == "lm_head.weight") return config.tie_word_embeddings;
  const int64_t layer = layer_of(name);
  if (layer < config.num_hidden_layers ||
      layer >= config.num_hidden_layers + config.num_nextn_predict_layers)
    return false;
  return name.ends_with(".embed_tokens.weight") || name.ends_with(".shared_head.head.weight");
}

std::string scale_name(const std::string& weight_name) {
  return weight_name + "_scale_inv";
}

bool is_fp8_in_v3(const PublishedTensor& tensor) {
  if (tensor.role == TensorRole::experts) return true;
  return tensor.role == TensorRole::matrix && !tensor.name.ends_with(".mlp.gate.weight") &&
         !tensor.name.ends_with(".eh_proj.weight");
}

}  // namespace temper
