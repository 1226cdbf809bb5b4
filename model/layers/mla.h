// Multi-head latent attention, in two forms: expanded over packed sequences for training and
// scoring, absorbed over the paged latent cache for generation. A test says that they agree.
#pragma once

#include "model/layers/layer_env.h"
#include "model/weights.h"

namespace temper {

struct MlaSaved {
  Tensor x;           // [T, d]         the input
  Tensor q_a;         // [T, q_lora]    before its norm; empty without q-LoRA
  Tensor q_a_rstd;    // [T]
  Tensor q_a_normed;  // [T, q_lora]
  Tensor kv_a;        // [T, R+rope]    latent before its norm, k_rope before RoPE
  Tensor kv_a_rstd;   // [T]
  Tensor latent;      // [T, R]         after its norm
  Tensor q;           // [T, H*(nope+rope)] after RoPE
  Tensor k_rope;      // [T, rope]          after RoPE
  Tensor kv;          // [T, H, nope+v]     k_nope and v as kv_b_proj gives them
  Tensor o;           // [T, H, v]
  Tensor lse;         // [T, H]
};

// q = W_qb norm(W_qa x) (or W_q x); [latent; k_rope] = W_kva x; [k_nope; v] = W_kvb norm(latent);
// RoPE on q_rope and k_rope (interleaved pairs); stream += W_o softmax(scale q.k) v.
// Source: DeepSeek-V3 eq. 1-11; v3-engine 1.3.  Shapes: stream, x [T, d].
void mla_forward(const LayerEnv& env, Tensor stream, MlaSaved* saved, Tensor x,
                 const MlaWeights& w);

// Adds into: dx [T, d] and the gradients `dw`.
void mla_backward(const LayerEnv& env, const Grad& dx, const MlaWeights& dw, Tensor dy,
                  const MlaSaved& saved, const MlaWeights& w);

// Writes [norm(latent); RoPE(k_rope)] of each row into the cache, then with W_UK and W_UV the
// parts of kv_b_proj: o_h = W_UV_h softmax(scale * (W_UK_h^T q_nope_h . c + q_rope_h . k_rope)) c.
// Source: DeepSeek-V2 section 2.1.3 ("absorbed").  Shapes: stream, x [N, d].
void mla_decode(const DecodeEnv& env, Tensor stream, Tensor x, const MlaWeights& w);

}  // namespace temper
