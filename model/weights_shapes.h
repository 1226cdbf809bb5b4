// The shapes of a model's weights without their memory.
#pragma once

#include "model/weights.h"

namespace temper {

// Weights whose tensors have name, role and shape in tensors_of(), but data == nullptr: for
// comparing a checkpoint with its config.json, or rewriting one that does not fit into memory.
ModelWeights shapes_of_weights(const ModelConfig& config);

}  // namespace temper
