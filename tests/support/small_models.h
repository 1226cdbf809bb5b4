// Small random models for tests: every feature, few numbers.
#pragma once

#include "core/random.h"
#include "model/weights.h"

namespace temper {

// DeepSeek-V3 with q-LoRA, YaRN, one dense and two MoE layers (8 experts in 4 groups, 2 kept) and
// one MTP module.
inline ModelConfig small_v3_config() {
  ModelConfig c;
  c.vocab_size = 37;
  c.hidden_size = 16;
  c.intermediate_size = 24;
  c.num_hidden_layers = 3;
  c.num_attention_heads = 2;
  c.num_key_value_heads = 2;
  c.max_position_embeddings = 256;
  c.rope.type = RopeType::yarn;
  c.rope.factor = 4.0;
  c.rope.mscale = 1.0;
  c.rope.mscale_all_dim = 1.0;
  c.rope.original_max_position_embeddings = 64;
  c.q_lora_rank = 12;
  c.kv_lora_rank = 10;
  c.qk_nope_head_dim = 6;
  c.qk_rope_head_dim = 4;
  c.v_head_dim = 8;
  c.n_routed_experts = 8;
  c.n_shared_experts = 1;
  c.num_experts_per_tok = 3;
  c.moe_intermediate_size = 10;
  c.first_k_dense_replace = 1;
  c.n_group = 4;
  c.topk_group = 2;
  c.routed_scaling_factor = 2.5;
  c.num_nextn_predict_layers = 1;
  c.eos_token_id = {2};
  return c;
}

// A dense qwen-like model: GQA with biases and head norms, tied head.
inline ModelConfig small_gqa_config() {
  ModelConfig c;
  c.model_type = "qwen3";
  c.attention = AttentionKind::gqa;
  c.vocab_size = 37;
  c.hidden_size = 16;
  c.intermediate_size = 24;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.head_dim = 6;
  c.max_position_embeddings = 256;
  c.qkv_bias = true;
  c.o_bias = true;
  c.qk_norm = true;
  c.tie_word_embeddings = true;
  c.eos_token_id = {2};
  return c;
}

// Weights with no symmetry left: normal(0, scale) matrices, norms around 1, biases not 0.
inline OwnedWeights random_weights(const ModelConfig& config, DType dtype, uint64_t seed,
                                   double scale = 0.3) {
  OwnedWeights weights = allocate_weights(config, dtype);
  uint32_t index = 0;
  for (const NamedTensor& t : tensors_of(weights.view, config)) {
    Random random(seed, RandomStream::weights, index++);
    const bool norm = t.role == TensorRole::norm;
    const auto draw = [&] { return (norm ? 1.0 : 0.0) + (norm ? 0.2 : scale) * random.normal(); };
    if (t.tensor->dtype == DType::f32) {
      for (int64_t i = 0; i < t.tensor->numel(); ++i)
        t.tensor->get<float>()[i] = static_cast<float>(draw());
    } else {
      for (int64_t i = 0; i < t.tensor->numel(); ++i) t.tensor->get<double>()[i] = draw();
    }
  }
  return weights;
}

inline std::vector<int32_t> random_ids(int64_t count, int64_t vocab, uint64_t seed) {
  Random random(seed, RandomStream::data);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<int32_t>(random.below(static_cast<uint32_t>(vocab))));
  return ids;
}

}  // namespace temper
