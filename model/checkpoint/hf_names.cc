#include "model/checkpoint/hf_names.h"

#include <charconv>
#include <string_view>

namespace temper {
namespace {

constexpr std::string_view kLayers = "model.layers.";

}  // namespace

std::vector<PublishedTensor> published_tensors(ModelWeights& weights, const ModelConfig& config) {
  std::vector<PublishedTensor> published;
  for (const NamedTensor& named : tensors_of(weights, config)) {
    if (named.role != TensorRole::experts) {
      published.push_back({named.name, named.role, *named.tensor});
      continue;
    }
    const size_t star = named.name.find('*');
    require(star != std::string::npos, "a stack of experts without '*' in its name");
    const int64_t experts = named.tensor->dim(0);
    for (int64_t e = 0; e < experts; ++e) {
      std::string name = named.name;
      name.replace(star, 1, std::to_string(e));
      // Shapes without memory have no slices: only the shape is taken.
      const Tensor& stack = *named.tensor;
      const Tensor one = stack.data == nullptr
                             ? make_tensor(nullptr, stack.dtype, {stack.dim(1), stack.dim(2)})
                             : stack.slice_rows(e, 1).reshape({stack.dim(1), stack.dim(2)});
      published.push_back({std::move(name), named.role, one});
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
