// Weights between host and device.
#pragma once

#include "core/context.h"
#include "model/weights.h"

namespace temper {

// The same weights on the context's device in `dtype`; router biases stay f32.
OwnedWeights weights_on_device(Context& ctx, const OwnedWeights& host, const ModelConfig& config,
                               DType dtype);
// Weights on the host in f32 (or f64), for a checkpoint. `low` has the other halves of bf16 weights
// (model/ops/halves.h), or is empty. Waits for the device.
OwnedWeights weights_on_host(Context& ctx, const OwnedWeights& weights, const ModelConfig& config,
                             Tensor low = {});
// Splits the f32 numbers of a host tensor into halves on the context's device.
// Shapes: high, low, host [n]. Waits for the device.
void set_halves(Context& ctx, const Tensor& high, const Tensor& low, const Tensor& host);
// The same numbers in memory of their own, on the same device.
OwnedWeights copy_weights(Context& ctx, const OwnedWeights& weights, const ModelConfig& config);

}  // namespace temper
