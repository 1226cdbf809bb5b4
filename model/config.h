// ModelConfig: what config.json says, under the names that config.json uses.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace temper {

enum class AttentionKind { mla, gqa };
enum class ScoringFunc { sigmoid, softmax };
enum class RopeType { none, yarn, linear, llama3 };

// Rotary position embedding, from `rope_theta` + `rope_scaling` or from `rope_parameters`.
struct RopeConfig {
  double rope_theta = 10000.0;
  RopeType type = RopeType::none;
  double factor = 1.0;
  double beta_fast = 32.0, beta_slow = 1.0;              // yarn
  double mscale = 1.0, mscale_all_dim = 0.0;             // yarn
  double attention_factor = 0.0;                         // yarn: 0 = derived from mscale
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  // llama3
  int64_t original_max_position_embeddings = 0;
};

struct ModelConfig {
  std::string model_type = "deepseek_v3";  // deepseek_v3 | deepseek_v2 | llama | qwen2 | qwen3
  AttentionKind attention = AttentionKind::mla;

  int64_t vocab_size = 0;           // V
  int64_t hidden_size = 0;          // d
  int64_t intermediate_size = 0;    // of a dense MLP
  int64_t num_hidden_layers = 0;    // without MTP modules
  int64_t num_attention_heads = 0;  // H
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  bool tie_word_embeddings = false;
  double initializer_range = 0.02;
  RopeConfig rope;

  // GQA (llama, qwen2, qwen3)
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  bool qkv_bias = false;  // qwen2, or `attention_bias`
  bool o_bias = false;    // llama with `attention_bias`
  bool qk_norm = false;   // qwen3: RMSNorm of each head's q and k before RoPE

  // MLA
  int64_t q_lora_rank = 0;  // 0: config.json says null, one q_proj
  int64_t kv_lora_rank = 0;
  int64_t qk_nope_head_dim = 0;
  int64_t qk_rope_head_dim = 0;
  int64_t v_head_dim = 0;
  // q_a_layernorm and kv_a_layernorm take this eps whatever rms_norm_eps says, as DeepSeek's code
  // and transformers do (v3-engine 1.6, point 8).
  double latent_norm_eps = 1e-6;

  // DeepSeekMoE; n_routed_experts == 0: all layers dense
  int64_t n_routed_experts = 0;  // E
  int64_t n_shared_experts = 0;
  int64_t num_experts_per_tok = 0;  // K
  int64_t moe_intermediate_size = 0;
  int64_t first_k_dense_replace = 0;
  int64_t moe_layer_freq = 1;
  int64_t n_group = 1, topk_group = 1;
  bool norm_topk_prob = true;
  double routed_scaling_factor = 1.0;
  ScoringFunc scoring_func = ScoringFunc::sigmoid;
  bool group_limited = true;        // false: topk_method greedy
  bool has_correction_bias = true;  // topk_method noaux_tc

  int64_t num_nextn_predict_layers = 0;  // MTP modules

  // Scores of a text that a "...ForSequenceClassification" gives, from a head of its own in place
  // of lm_head: 1 for a reward model, 0 for a language model.
  int64_t num_labels = 0;

  int64_t bos_token_id = -1;
  std::vector<int64_t> eos_token_id;  // one or several

  bool is_moe_layer(int64_t layer) const {
    return n_routed_experts > 0 && layer >= first_k_dense_replace && layer % moe_layer_freq == 0;
  }
  int64_t qk_head_dim() const { return qk_nope_head_dim + qk_rope_head_dim; }
  int64_t shared_intermediate_size() const { return n_shared_experts * moe_intermediate_size; }
  // Numbers a token and a layer in the KV cache: MLA 576 for V3; GQA 2 * kv heads * head_dim.
  int64_t cache_width() const {
    return attention == AttentionKind::mla ? kv_lora_rank + qk_rope_head_dim
                                           : 2 * num_key_value_heads * head_dim;
  }
  // The factor on q.k before the softmax: head_dim^-0.5; for MLA qk_head_dim^-0.5, times YaRN's
  // mscale^2 (v3-engine 1.3).
  double softmax_scale() const;
};

// Reads config.json's object. Throws UserError naming `where`, the key, what was expected and
// found; an unknown model_type names the known ones.
ModelConfig parse_model_config(const JsonValue& json, const std::string& where);
ModelConfig read_model_config(const std::filesystem::path& model_dir);

// config.json in the published form, readable by transformers.
std::string model_config_json(const ModelConfig& config, std::string_view torch_dtype);

// A built-in shape for `model init`: "tiny", "v3-1b", ... Throws UserError naming the known ones.
ModelConfig preset_config(std::string_view name);
std::vector<std::string> preset_names();

}  // namespace temper
