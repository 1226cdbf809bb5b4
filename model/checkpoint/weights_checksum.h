// A checksum of weights in memory: whether two runs hold the same bits.
#pragma once

#include <string>

#include "model/weights.h"

namespace temper {

// "xxh64:1f..." of the flat storage, the router biases and, if there are, the low halves, from
// either device. Waits for the device.
// Shapes: low [parameters, 2], or empty.
std::string weights_checksum(Context& ctx, const OwnedWeights& weights, const Tensor& low);

}  // namespace temper
