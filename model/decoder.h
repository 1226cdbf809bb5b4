// THE model: embed -> blocks -> norm -> head, forward, backward and decode, for every
// architecture that config.json can name. It knows no loss: a stage turns log-probabilities into
// their gradient and hands that back.
#pragma once

#include <cstdint>
#include <vector>

#include "core/context.h"
#include "model/batch.h"
#include "model/layers/block.h"
#include "model/layers/kv_cache.h"
#include "model/layers/mtp.h"
#include "model/weights.h"

namespace temper {

struct ForwardOptions {
  bool recompute = false;  // keep only each block's input and run the block again in backward
  bool mtp = false;        // run the MTP modules too
  // Experts of the main model's MoE layers to replay, one layer after another; empty: the gates
  // choose. A token whose first entry is -1 goes where its gate says.
  Tensor experts = {};    // [layers * T, K] i32
  Tensor differing = {};  // [T] i32 or empty: counts the experts that a gate would not have chosen
  Tensor record = {};     // [layers * T, K] i32 or empty: gets where the tokens went
  // Prompts computed whole: with a cache, each token's entry goes to its slot (as DecodeBatch has
  // them), from where decoder_decode goes on. Without saving only.
  KvCache* cache = nullptr;
  Tensor slots = {};           // [T] i32
  EarlierTokens earlier = {};  // where sequences begin before the batch does
};

// What backward needs, and what a step reports. Tensors lie in the activations arena.
struct DecoderSaved {
  ForwardOptions options;
  Tensor cos, sin;                 // [T, rotary/2]
  std::vector<BlockSaved> blocks;  // one a layer
  Tensor last;                     // [T, d]  the stream before the final norm, as BlockSaved::x
  Tensor last_rstd;                // [T]
  Tensor hidden;                   // [T, d]  after the final norm
  std::vector<MtpSaved> mtp;       // one a module
};

// Returns hidden [T, d]: the residual stream after the final norm, ready for lm_head.
// With saved == nullptr nothing is kept and the arena holds only the result. With options.mtp,
// saved->mtp[k].hidden [T', d] is ready for the same head, with saved->mtp[k].stream.batch.targets.
// Aliasing: if `activations` is ctx.scratch, the caller keeps its scope open.
Tensor decoder_forward(Context& ctx, Arena& activations, DecoderSaved* saved,
                       const ModelWeights& weights, const ModelConfig& config,
                       const TokenBatch& batch, const ForwardOptions& options);

struct DecoderGrads {
  Tensor dhidden = {};                   // [T, d]  gradient of hidden; used as scratch
  std::vector<Tensor> dmtp_hidden = {};  // [T', d]  one a module; empty without MTP
  // The sequence balance loss, summed over layers and sequences: the caller passes alpha /
  // (sequences in the global batch) and where the loss is added, before alpha.
  BalanceLoss balance = {};
  // The gradients of all weights that run but embed_tokens' (and the head's, which is not touched
  // here) are fresh.
  bool fresh_weights = false;
  GradientSquares* squares = nullptr;  // gets the squares of fresh gradients of the layers, if any
};
// Adds into: every tensor of `weight_grads`, grads.balance.sum.
void decoder_backward(Context& ctx, Arena& activations, ModelWeights& weight_grads,
                      const DecoderGrads& grads, const DecoderSaved& saved,
                      const ModelWeights& weights, const ModelConfig& config,
                      const TokenBatch& batch);

// MoE layers of the main model, and together with those of its MTP modules.
int64_t count_moe_layers(const ModelWeights& weights);
int64_t count_moe_layers_with_mtp(const ModelWeights& weights);
// Adds how many tokens chose each expert into load [MoE layers with MTP, E] i32; MTP's come last.
void add_expert_load(Context& ctx, Tensor load, const DecoderSaved& saved);

// New tokens of running sequences: each row is one token at its position; a prompt is several rows
// of one sequence. The rows' cache entries are written first, then each row attends to the first
// context_length entries of its sequence.
struct DecodeBatch {
  Tensor ids;        // [N] i32
  Tensor positions;  // [N] i32
  Tensor slots;      // [N] i32  block * block_size + offset of each row's own cache entry
  PagedRows rows;
  Tensor experts = {};  // [MoE layers * N, K] i32 or empty: gets where the rows went, by layer
};

// Returns hidden [N, d] after the final norm, in `scratch`.
Tensor decoder_decode(Context& ctx, Arena& scratch, const ModelWeights& weights,
                      const ModelConfig& config, const DecodeBatch& batch, KvCache& cache);

}  // namespace temper
