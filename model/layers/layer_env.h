// What every layer of one forward or backward pass shares.
#pragma once

#include "core/context.h"
#include "core/sequences.h"
#include "model/config.h"
#include "model/ops/decode_attention.h"
#include "model/ops/grad.h"

namespace temper {

// Where tokens go when that is not the gate's affair alone.
struct Routing {
  Tensor forced = {};     // [T, K] i32  replayed instead of chosen (model/ops/router_replay.h)
  Tensor differing = {};  // [T] i32  counts the experts that the gate would not have chosen
  Tensor record = {};     // [T, K] i32  gets the experts that the tokens went to
};

// Where a batch has the later parts of sequences whose earlier parts are in the paged cache: all
// tokens that its rows see, their own at the end of each sequence's.
struct EarlierTokens {
  Sequences sequences = {};  // Tk tokens in all
  Tensor slots = {};         // [Tk] i32  each token's place in the cache
};

// A layer's forward adds its output to the residual stream, which is of the wider dtype of the
// activations (docs/decisions/0015-wide-residual-stream.md), and, where `saved` is not null, keeps
// what backward needs in the activations arena; with saved == nullptr its temporaries live in the
// context's scratch.
// A layer's backward adds into dx and into every weight's gradient (or writes what is fresh).
struct LayerEnv {
  Context& ctx;
  Arena& activations;
  const ModelConfig& config;
  Sequences sequences;
  Tensor cos, sin;       // [T, rotary/2] of the batch's positions
  Routing routing = {};  // of the layer
  // The gradients of the layers' weights are fresh: a step's first micro-batch writes them.
  bool fresh_weights = false;
  GradientSquares* squares = nullptr;  // gets those of fresh ones that are nobody else's to add to
  // Where not empty, the layer's entries of the paged cache are written too, each token's in its
  // slot (kv_cache.h); only without saving.
  Tensor cache = {}, slots = {};  // [blocks, block_size, cache_width], [T] i32
  EarlierTokens earlier = {};  // beside the cache: what the rows see of it, if more than themselves

  Arena& arena(bool saving) const { return saving ? activations : ctx.scratch; }
  Grad grad(const Tensor& dw) const {
    return {dw, fresh_weights, fresh_weights ? squares : nullptr};
  }
};

// The rows of a decode step and the layer's cache.
struct DecodeEnv {
  Context& ctx;
  const ModelConfig& config;
  Tensor cos, sin;  // [N, rotary/2]
  Tensor slots;     // [N] i32
  PagedRows rows;
  Tensor cache;  // [blocks, block_size, cache_width]
  Routing routing = {};
};

}  // namespace temper
