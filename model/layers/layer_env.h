// What every layer of one forward or backward pass shares.
#pragma once

#include "core/context.h"
#include "core/sequences.h"
#include "model/config.h"
#include "model/ops/decode_attention.h"

namespace temper {

// A layer's forward writes its output and, where `saved` is not null, keeps what backward needs in
// the activations arena; with saved == nullptr its temporaries live in the context's scratch.
// A layer's backward adds into dx and into every weight's gradient.
struct LayerEnv {
  Context& ctx;
  Arena& activations;
  const ModelConfig& config;
  Sequences sequences;
  Tensor cos, sin;  // [T, rotary/2] of the batch's positions

  Arena& arena(bool saving) const { return saving ? activations : ctx.scratch; }
};

// The rows of a decode step and the layer's cache.
struct DecodeEnv {
  Context& ctx;
  const ModelConfig& config;
  Tensor cos, sin;  // [N, rotary/2]
  Tensor slots;     // [N] i32
  PagedRows rows;
  Tensor cache;  // [blocks, block_size, cache_width]
};

}  // namespace temper
