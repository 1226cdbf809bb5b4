#include "core/did_you_mean.h"
#include "core/error.h"
#include "model/config.h"

namespace temper {
namespace {

// Learns Countdown on a CPU in minutes, with every part that the 671B model has: q-LoRA, groups of
// experts, a shared expert, one dense layer first, one MTP module.
ModelConfig tiny() {
  ModelConfig config;
  config.vocab_size = 288;  // 256 bytes and room for special tokens; `model init` sets the real one
  config.hidden_size = 128;
  config.intermediate_size = 384;
  config.num_hidden_layers = 4;
  config.num_attention_heads = 4;
  config.max_position_embeddings = 512;
  config.initializer_range = 0.05;
  config.q_lora_rank = 64;
  config.kv_lora_rank = 32;
  config.qk_nope_head_dim = 16;
  config.qk_rope_head_dim = 16;
  config.v_head_dim = 32;
  config.n_routed_experts = 16;
  config.n_shared_experts = 1;
  config.num_experts_per_tok = 4;
  config.moe_intermediate_size = 64;
  config.first_k_dense_replace = 1;
  config.n_group = 4;
  config.topk_group = 2;
  config.routed_scaling_factor = 1.5;
  config.num_nextn_predict_layers = 1;
  return config;
}

// A dense student of about `tiny`'s active size, with its vocabulary: Qwen3's blocks.
ModelConfig tiny_dense() {
  ModelConfig config;
  config.model_type = "qwen3";
  config.attention = AttentionKind::gqa;
  config.vocab_size = 288;
  config.hidden_size = 128;
  config.intermediate_size = 384;
  config.num_hidden_layers = 4;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 32;
  config.max_position_embeddings = 512;
  config.initializer_range = 0.05;
  config.qk_norm = true;
  return config;
}

// Learns a task from nothing within minutes of one GPU (docs/results.md): all parts of `tiny`, with
// V3's sizes of a head, for which the GPU's attention kernels are made.
ModelConfig v3_70m() {
  ModelConfig config = tiny();
  config.hidden_size = 512;
  config.intermediate_size = 1536;
  config.num_hidden_layers = 8;
  config.max_position_embeddings = 2048;
  config.initializer_range = 0.03;
  config.q_lora_rank = 384;
  config.kv_lora_rank = 512;
  config.qk_nope_head_dim = 128;
  config.qk_rope_head_dim = 64;
  config.v_head_dim = 128;
  config.moe_intermediate_size = 256;
  return config;
}

// The benchmark model of docs/performance.md: fits one GPU many times over.
ModelConfig v3_1b() {
  ModelConfig config;
  config.vocab_size = 32768;
  config.hidden_size = 1024;
  config.intermediate_size = 4096;
  config.num_hidden_layers = 16;
  config.num_attention_heads = 8;
  config.max_position_embeddings = 4096;
  config.kv_lora_rank = 512;
  config.qk_nope_head_dim = 128;
  config.qk_rope_head_dim = 64;
  config.v_head_dim = 128;
  config.n_routed_experts = 32;
  config.n_shared_experts = 1;
  config.num_experts_per_tok = 4;
  config.moe_intermediate_size = 512;
  config.first_k_dense_replace = 1;
  config.routed_scaling_factor = 2.5;
  return config;
}

// Source: v3-engine 1.7, Moonlight-16B-A3B's config.json.
ModelConfig moonlight_16b() {
  ModelConfig config;
  config.vocab_size = 163840;
  config.hidden_size = 2048;
  config.intermediate_size = 11264;
  config.num_hidden_layers = 27;
  config.num_attention_heads = 16;
  config.max_position_embeddings = 8192;
  config.rms_norm_eps = 1e-5;
  config.rope.rope_theta = 50000.0;
  config.kv_lora_rank = 512;
  config.qk_nope_head_dim = 128;
  config.qk_rope_head_dim = 64;
  config.v_head_dim = 128;
  config.n_routed_experts = 64;
  config.n_shared_experts = 2;
  config.num_experts_per_tok = 6;
  config.moe_intermediate_size = 1408;
  config.first_k_dense_replace = 1;
  config.routed_scaling_factor = 2.446;
  return config;
}

// Source: DeepSeek-V3's config.json; the deviation 0.006 is the technical report's (4.2).
ModelConfig deepseek_v3() {
  ModelConfig config;
  config.vocab_size = 129280;
  config.hidden_size = 7168;
  config.intermediate_size = 18432;
  config.num_hidden_layers = 61;
  config.num_attention_heads = 128;
  config.max_position_embeddings = 163840;
  config.initializer_range = 0.006;
  config.rope.type = RopeType::yarn;
  config.rope.factor = 40.0;
  config.rope.mscale_all_dim = 1.0;
  config.rope.original_max_position_embeddings = 4096;
  config.q_lora_rank = 1536;
  config.kv_lora_rank = 512;
  config.qk_nope_head_dim = 128;
  config.qk_rope_head_dim = 64;
  config.v_head_dim = 128;
  config.n_routed_experts = 256;
  config.n_shared_experts = 1;
  config.num_experts_per_tok = 8;
  config.moe_intermediate_size = 2048;
  config.first_k_dense_replace = 3;
  config.n_group = 8;
  config.topk_group = 4;
  config.routed_scaling_factor = 2.5;
  config.num_nextn_predict_layers = 1;
  config.bos_token_id = 0;
  config.eos_token_id = {1};
  return config;
}

}  // namespace

std::vector<std::string> preset_names() {
  return {"tiny", "tiny-dense", "v3-70m", "v3-1b", "moonlight-16b", "deepseek-v3"};
}

ModelConfig preset_config(std::string_view name) {
  if (name == "tiny") return tiny();
  if (name == "tiny-dense") return tiny_dense();
  if (name == "v3-70m") return v3_70m();
  if (name == "v3-1b") return v3_1b();
  if (name == "moonlight-16b") return moonlight_16b();
  if (name == "deepseek-v3") return deepseek_v3();
  const std::vector<std::string> known = preset_names();
  std::string list;
  for (const std::string& preset : known) list += (list.empty() ? "" : ", ") + preset;
  throw UserError({.what = "unknown preset",
                   .expected = "one of " + list,
                   .found = std::string(name),
                   .hint = did_you_mean(name, known)});
}

}  // namespace temper
