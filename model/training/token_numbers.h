// Numbers of tokens between the device, one a counted token, and the host, one a token.
#pragma once

#include <span>
#include <vector>

#include "model/training/train_step.h"

namespace temper {

// The numbers of a tensor, one for each masked token in order, as [sequence][token]; 0 elsewhere.
// Shapes: rows [R]. Waits for the device.
std::vector<std::vector<double>> to_tokens(Context& ctx, Tensor rows,
                                           std::span<const TrainSequence> sequences);

// The inverse of to_tokens, on the host.
std::vector<double> counted_numbers(const std::vector<std::vector<double>>& tokens,
                                    std::span<const TrainSequence> sequences);

// The numbers times `factor` as a tensor of the context's device. Shapes: [R].
Tensor upload_numbers(Context& ctx, Arena& arena, DType dtype, std::span<const double> numbers,
                      double factor);

// The inverse of to_tokens, times `factor`. Shapes: [R].
Tensor from_tokens(Context& ctx, Arena& arena, DType dtype,
                   const std::vector<std::vector<double>>& tokens,
                   std::span<const TrainSequence> sequences, double factor);

}  // namespace temper
