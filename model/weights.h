// The weights of a model. The struct of weights is the struct of gradients is the struct of
// moments; tensors_of() is the one list that loading, saving, init, update and reports walk.
// Linear weights are [out, in] row-major, under the checkpoint's names.
#pragma once

#include <string>
#include <vector>

#include "core/context.h"
#include "model/config.h"

namespace temper {

struct MlaWeights {
  Tensor q_proj;              // [H*(nope+rope), d]          only if q_lora_rank == 0
  Tensor q_a_proj;            // [q_lora, d]
  Tensor q_a_layernorm;       // [q_lora]
  Tensor q_b_proj;            // [H*(nope+rope), q_lora]     rows per head: nope, rope
  Tensor kv_a_proj_with_mqa;  // [kv_lora+rope, d]           rows: latent, k_rope
  Tensor kv_a_layernorm;      // [kv_lora]
  Tensor kv_b_proj;           // [H*(nope+v), kv_lora]       rows per head: k_nope, v
  Tensor o_proj;              // [d, H*v]
};

struct GqaWeights {
  Tensor q_proj;                  // [H*D, d]
  Tensor k_proj, v_proj;          // [Hkv*D, d]
  Tensor o_proj;                  // [d, H*D]
  Tensor q_bias, k_bias, v_bias;  // [H*D], [Hkv*D], [Hkv*D]  only if qkv_bias
  Tensor o_bias;                  // [d]                      only if o_bias
  Tensor q_norm, k_norm;          // [D]                      only if qk_norm
};

struct MlpWeights {
  Tensor gate_up_proj;  // [2I, d]  rows: gate_proj, up_proj
  Tensor down_proj;     // [d, I]
};

struct MoeWeights {
  Tensor gate;                     // [E, d]  the router
  Tensor e_score_correction_bias;  // [E] always f32; moved by rule, never by the optimiser
  Tensor experts_gate_up_proj;     // [E, 2I, d]  the experts, stacked; rows: gate_proj, up_proj
  Tensor experts_down_proj;        // [E, d, I]
  MlpWeights shared_experts;       // I = n_shared_experts * moe_intermediate_size
};

struct BlockWeights {
  Tensor input_layernorm;           // [d]
  MlaWeights mla;                   // attention == mla
  GqaWeights gqa;                   // attention == gqa
  Tensor post_attention_layernorm;  // [d]
  MlpWeights mlp;                   // dense layer
  MoeWeights moe;                   // MoE layer
};

// Multi-token prediction module k; embedding and head are the main model's.
struct MtpWeights {
  Tensor enorm, hnorm;      // [d]
  Tensor eh_proj;           // [d, 2d]  columns: enorm(embedding), hnorm(hidden): v3-engine 1.5
  BlockWeights block;       // a MoE block (dense if the model has no experts)
  Tensor shared_head_norm;  // [d]
};

struct ModelWeights {
  Tensor embed_tokens;  // [V, d]
  std::vector<BlockWeights> layers;
  Tensor norm;     // [d]
  Tensor lm_head;  // [V, d]  the same memory as embed_tokens if tie_word_embeddings
  Tensor score;    // [num_labels, d]  in place of lm_head, if num_labels > 0
  std::vector<MtpWeights> mtp;
};

enum class TensorRole {
  embedding,    // embed_tokens, lm_head, score
  matrix,       // a linear layer
  experts,      // a stack of linear layers; '*' in the name stands for the expert
  norm,         // an RMSNorm's weight
  bias,         // a linear layer's bias
  router_bias,  // e_score_correction_bias: no gradient, no moments
};

struct NamedTensor {
  std::string name;  // e.g. "model.layers.3.mlp.experts.*.down_proj.weight"
  TensorRole role;
  Tensor* tensor;  // points into the ModelWeights that was walked
  // The published names of what it holds: `name` alone, or those of matrices of one size that lie
  // one after another (in each expert), so that one product serves them all.
  std::vector<std::string> parts;
};

// Every tensor that the config has, in a fixed order; a tied lm_head is not listed. Two structs
// made from one config give lists that match index by index.
std::vector<NamedTensor> tensors_of(ModelWeights& weights, const ModelConfig& config);

// A ModelWeights with its memory. All tensors but the router biases lie in `storage`, one after
// another, so that gradients and moments of the same layout can be swept in one pass.
struct OwnedWeights {
  ModelWeights view;
  OwnedTensor storage;        // [parameters, each tensor padded to 64 elements] in its dtype
  OwnedTensor router_biases;  // f32
};

// Zero-filled weights of the config's shapes. Throws ContractError on an impossible config.
OwnedWeights allocate_weights(const ModelConfig& config, DType dtype, Device device = Device::cpu);

// Random weights: matrices normal(0, initializer_range), norms 1, biases 0. The same seed gives
// the same weights on any machine.
void initialize_weights(ModelWeights& weights, const ModelConfig& config, uint64_t seed);

// Parameters in all, and those that one token meets (its experts instead of all).
struct ParameterCount {
  int64_t total = 0, active = 0, mtp = 0;  // mtp: of the total, in MTP modules
};
ParameterCount count_parameters(const ModelConfig& config);

}  // namespace temper
