// Multi-token prediction: module k predicts the token 2+k after each position.
#pragma once

#include "model/batch.h"
#include "model/layers/block.h"
#include "model/layers/layer_env.h"
#include "model/weights.h"

namespace temper {

// The rows of one module: those of the stream before it that have a next token. Row i embeds the
// stream's target (the next token) and is asked for the target of the row after.
struct MtpBatch {
  TokenBatch batch;  // ids [T'] and targets as the module sees them
  Tensor rows;       // [T'] i32  the row of the stream before that each row continues
};
MtpBatch make_mtp_batch(Context& ctx, Arena& arena, const TokenBatch& before);

struct MtpSaved {
  MtpBatch stream;
  Tensor cos, sin;       // [T', rotary/2]
  Tensor embedded;       // [T', d]
  Tensor embedded_rstd;  // [T']
  Tensor previous;       // [T', d]  hidden of the stream before
  Tensor previous_rstd;  // [T']
  Tensor joined;         // [T', 2d]  [enorm(embedded) ; hnorm(previous)]
  BlockSaved block;      // of eh_proj(joined)
  Tensor output;         // [T', d]  of the block; the next module continues from here
  Tensor output_rstd;    // [T']
  Tensor hidden;         // [T', d]  shared_head_norm(output): ready for the shared head
};

// output = block(eh_proj [enorm(Emb(next token)) ; hnorm(previous)]).
// Source: DeepSeek-V3 eq. 21-25, with the checkpoint's order of the two halves and the main model's
// hidden taken after its final norm (v3-engine 1.5).
// Shapes: before [T, d] is the hidden of `before_batch`; saved->stream is made here.
void mtp_forward(Context& ctx, Arena& activations, const ModelConfig& config, MtpSaved& saved,
                 Tensor before, const TokenBatch& before_batch, Tensor embed_tokens,
                 const MtpWeights& w);

// Adds into: dbefore [T, d], dembed_tokens, the gradients `dw`. dhidden [T', d] is the gradient of
// saved.hidden; doutput [T', d] holds the gradient of saved.output and is used as scratch.
struct MtpGrads {
  Tensor dbefore, dembed_tokens, dhidden, doutput;
  BalanceLoss balance = {};    // as in block_backward
  bool fresh_weights = false;  // `dw` is (LayerEnv)
};
void mtp_backward(Context& ctx, Arena& activations, const ModelConfig& config,
                  const MtpGrads& grads, const MtpWeights& dw, const MtpSaved& saved,
                  const MtpWeights& w);

}  // namespace temper
