// Rotary position embedding.
#pragma once

#include <vector>

#include "core/context.h"
#include "core/tensor.h"
#include "model/config.h"

namespace temper {

// Which elements of a head form a pair: neighbours (2j, 2j+1), as DeepSeek stores them, or the two
// halves (j, j + D/2), as llama and qwen do.
enum class RopeStyle { interleaved, halves };

// Angular frequencies and the factor on cos and sin.
// Source: YaRN (Peng et al. 2023) as in DeepSeek-V3's code, v3-engine 1.3; llama3 scaling as in
// Llama 3.1. Units: radians a position.
struct RopeFrequencies {
  std::vector<double> inv_freq;  // [D/2]
  double attention_factor = 1.0;
};
RopeFrequencies rope_frequencies(const RopeConfig& config, int64_t rotary_dim,
                                 int64_t max_position_embeddings);

// cos[t][j] = factor * cos(position_t * inv_freq_j), sin likewise.
// Shapes: cos, sin [T, D/2]; positions [T] i32. Types: f32 or f64 (angles always in f64).
void rope_tables(Context& ctx, Tensor cos, Tensor sin, Tensor positions,
                 const RopeFrequencies& frequencies);

// Rotates in place: (a, b) -> (a cos - b sin, a sin + b cos) for each pair of each head.
// Shapes: x [T, H, D] or [T, D], may be a column slice; cos, sin [T, D/2].
void rope_forward(Context& ctx, Tensor x, Tensor cos, Tensor sin, RopeStyle style);

// The transpose of rope_forward, in place on a gradient: rotates by the negative angle.
// Adds into: nothing; dx is overwritten.
void rope_backward(Context& ctx, Tensor dx, Tensor cos, Tensor sin, RopeStyle style);

}  // namespace temper
