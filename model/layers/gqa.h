// Grouped-query attention, for the dense llama and qwen students.
#pragma once

#include "model/layers/layer_env.h"
#include "model/weights.h"

namespace temper {

struct GqaSaved {
  Tensor x;               // [T, d]
  Tensor q_raw, k_raw;    // [T, H, D], [T, Hkv, D]  before q_norm and k_norm; empty without them
  Tensor q_rstd, k_rstd;  // [T*H], [T*Hkv]
  Tensor q, k, v;         // [T, H, D], [T, Hkv, D], [T, Hkv, D]  q and k after RoPE
  Tensor o;               // [T, H, D]
  Tensor lse;             // [T, H]
};

// q, k, v = W x + b; q and k normed per head if qk_norm, then RoPE (halves);
// stream += W_o softmax(D^-0.5 q.k) v + b_o, query head h reading kv head h / (H/Hkv).
// Source: Ainslie et al. 2023; Qwen3 for the norms.  Shapes: stream, x [T, d].
void gqa_forward(const LayerEnv& env, Tensor stream, GqaSaved* saved, Tensor x,
                 const GqaWeights& w);

// Adds into: dx [T, d] and the gradients `dw`.
void gqa_backward(const LayerEnv& env, const Grad& dx, const GqaWeights& dw, Tensor dy,
                  const GqaSaved& saved, const GqaWeights& w);

// Writes k and v of each row into the cache, then attends.  Shapes: stream, x [N, d].
void gqa_decode(const DecodeEnv& env, Tensor stream, Tensor x, const GqaWeights& w);

}  // namespace temper
