// Weights between host and device.
#pragma once

#include "core/context.h"
#include "model/weights.h"

namespace temper {

// The same weights on the context's device in `dtype`; router biases stay f32.
OwnedWeights weights_on_device(Context& ctx, const OwnedWeights& host, const ModelConfig& config,
                               DType dtype);
// Weights on the host in f32 (or f64), for a checkpoint. `flat` may be any tensor of the layout of
// `weights.storage` (a master copy, say); empty: the storage itself. Waits for the device.
OwnedWeights weights_on_host(Context& ctx, const OwnedWeights& weights, const ModelConfig& config,
                             Tensor flat = {});
// The same numbers in memory of their own, on the same device.
OwnedWeights copy_weights(Context& ctx, const OwnedWeights& weights, const ModelConfig& config);

}  // namespace temper
