// Weights in memory <-> tensors in a published checkpoint: the experts' stacks become one tensor an
// expert, and some published tensors are known to say nothing new.
#pragma once

#include <string>
#include <vector>

#include "model/weights.h"

namespace temper {

// One tensor of a checkpoint and the part of the weights that it fills.
struct PublishedTensor {
  std::string name;  // "model.layers.3.mlp.experts.17.up_proj.weight"
  TensorRole role;
  Tensor part;  // a view into the weights
};

// Every tensor that a checkpoint of this config must have: the parts of tensors_of(), in order.
std::vector<PublishedTensor> published_tensors(ModelWeights& weights, const ModelConfig& config);

// Whether a checkpoint may hold `name` although nothing is loaded from it: the copies of embedding
// and head inside an MTP module, a tied head, rotary tables.
bool is_redundant(const std::string& name, const ModelConfig& config);

// "model.layers.7." + anything -> 7; -1 for tensors outside of the layers.
int64_t layer_of(const std::string& name);

// "a.b.weight" -> "a.b.weight_scale_inv", where V3 keeps the scales of an FP8 matrix.
std::string scale_name(const std::string& weight_name);

// Whether V3's published form keeps this tensor in FP8: linear layers, except the router and
// eh_proj. Source: v3-engine 1.2.
bool is_fp8_in_v3(const PublishedTensor& tensor);

}  // namespace temper
