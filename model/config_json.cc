// Writes config.json in the form that DeepSeek and Meta published: rope_theta + rope_scaling.
#include <algorithm>

#include "core/error.h"
#include "model/config.h"

namespace temper {
namespace {

// Builds a JSON object member by member.
class ObjectWriter {
 public:
  explicit ObjectWriter(Json& document) : document_(document), value_(rapidjson::kObjectType) {}

  template <class T>
  void set(const char* key, T value) {
    value_.AddMember(rapidjson::StringRef(key), JsonValue(value), document_.GetAllocator());
  }
  void set(const char* key, const std::string& value) {
    set_value(key, JsonValue(value.c_str(), document_.GetAllocator()));
  }
  void set_value(const char* key, JsonValue value) {
    value_.AddMember(rapidjson::StringRef(key), value, document_.GetAllocator());
  }
  JsonValue take() { return std::move(value_); }

 private:
  Json& document_;
  JsonValue value_;
};

std::string architecture_of(const ModelConfig& config) {
  const std::string task = config.num_labels > 0 ? "ForSequenceClassification" : "ForCausalLM";
  if (config.model_type == "deepseek_v3") return "DeepseekV3" + task;
  if (config.model_type == "deepseek_v2") return "DeepseekV2" + task;
  if (config.model_type == "qwen2") return "Qwen2" + task;
  if (config.model_type == "qwen3") return "Qwen3" + task;
  return "Llama" + task;
}

// A class is a name in both directions to transformers; without them it would count two.
void set_labels(ObjectWriter& out, Json& document, const ModelConfig& config) {
  if (config.num_labels == 0) return;
  ObjectWriter name_of(document), id_of(document);
  name_of.set("0", std::string("LABEL_0"));
  id_of.set("LABEL_0", int64_t{0});
  out.set_value("id2label", name_of.take());
  out.set_value("label2id", id_of.take());
  out.set("num_labels", config.num_labels);
}

void set_common(ObjectWriter& out, Json& document, const ModelConfig& config) {
  JsonValue architectures(rapidjson::kArrayType);
  architectures.PushBack(JsonValue(architecture_of(config).c_str(), document.GetAllocator()),
                         document.GetAllocator());
  out.set_value("architectures", std::move(architectures));
  out.set("model_type", config.model_type);
  out.set("vocab_size", config.vocab_size);
  out.set("hidden_size", config.hidden_size);
  out.set("intermediate_size", config.intermediate_size);
  out.set("num_hidden_layers", config.num_hidden_layers);
  out.set("num_attention_heads", config.num_attention_heads);
  out.set("max_position_embeddings", config.max_position_embeddings);
  out.set("hidden_act", std::string("silu"));
  out.set("rms_norm_eps", config.rms_norm_eps);
  out.set("tie_word_embeddings", config.tie_word_embeddings);
  out.set("initializer_range", config.initializer_range);
  out.set("attention_dropout", 0.0);
  out.set("use_cache", true);
  if (config.bos_token_id >= 0) out.set("bos_token_id", config.bos_token_id);
  if (config.eos_token_id.size() == 1) out.set("eos_token_id", config.eos_token_id[0]);
  if (config.eos_token_id.size() > 1) {
    JsonValue ids(rapidjson::kArrayType);
    for (const int64_t id : config.eos_token_id) ids.PushBack(id, document.GetAllocator());
    out.set_value("eos_token_id", std::move(ids));
  }
  set_labels(out, document, config);
}

void set_rope(ObjectWriter& out, Json& document, const RopeConfig& rope) {
  out.set("rope_theta", rope.rope_theta);
  if (rope.type == RopeType::none) return;
  ObjectWriter scaling(document);
  const std::string type = rope.type == RopeType::yarn     ? "yarn"
                           : rope.type == RopeType::linear ? "linear"
                                                           : "llama3";
  // transformers reads rope_type, DeepSeek's own code and vLLM's read type.
  scaling.set("type", type);
  scaling.set("rope_type", type);
  scaling.set("factor", rope.factor);
  if (rope.type == RopeType::yarn) {
    scaling.set("beta_fast", rope.beta_fast);
    scaling.set("beta_slow", rope.beta_slow);
    scaling.set("mscale", rope.mscale);
    scaling.set("mscale_all_dim", rope.mscale_all_dim);
    if (rope.attention_factor > 0) scaling.set("attention_factor", rope.attention_factor);
  }
  if (rope.type == RopeType::llama3) {
    scaling.set("low_freq_factor", rope.low_freq_factor);
    scaling.set("high_freq_factor", rope.high_freq_factor);
  }
  if (rope.type != RopeType::linear)
    scaling.set("original_max_position_embeddings", rope.original_max_position_embeddings);
  out.set_value("rope_scaling", scaling.take());
}

void set_mla(ObjectWriter& out, const ModelConfig& config) {
  out.set("attention_bias", false);
  out.set("num_key_value_heads", config.num_attention_heads);
  if (config.q_lora_rank > 0)
    out.set("q_lora_rank", config.q_lora_rank);
  else
    out.set_value("q_lora_rank", JsonValue());
  out.set("kv_lora_rank", config.kv_lora_rank);
  out.set("qk_nope_head_dim", config.qk_nope_head_dim);
  out.set("qk_rope_head_dim", config.qk_rope_head_dim);
  out.set("v_head_dim", config.v_head_dim);
  out.set("num_nextn_predict_layers", config.num_nextn_predict_layers);
}

void set_moe(ObjectWriter& out, const ModelConfig& config) {
  if (config.n_routed_experts == 0) {
    // transformers has no dense form of these models but "every layer comes before the experts".
    out.set_value("n_routed_experts", JsonValue());
    out.set("first_k_dense_replace", config.num_hidden_layers);
    return;
  }
  out.set("n_routed_experts", config.n_routed_experts);
  if (config.n_shared_experts > 0)
    out.set("n_shared_experts", config.n_shared_experts);
  else
    out.set_value("n_shared_experts", JsonValue());
  out.set("num_experts_per_tok", config.num_experts_per_tok);
  out.set("moe_intermediate_size", config.moe_intermediate_size);
  out.set("first_k_dense_replace", config.first_k_dense_replace);
  out.set("moe_layer_freq", config.moe_layer_freq);
  out.set("n_group", config.n_group);
  out.set("topk_group", config.topk_group);
  out.set("topk_method", std::string(config.has_correction_bias ? "noaux_tc"
                                     : config.group_limited     ? "group_limited_greedy"
                                                                : "greedy"));
  out.set("scoring_func",
          std::string(config.scoring_func == ScoringFunc::sigmoid ? "sigmoid" : "softmax"));
  out.set("norm_topk_prob", config.norm_topk_prob);
  out.set("routed_scaling_factor", config.routed_scaling_factor);
}

void set_gqa(ObjectWriter& out, const ModelConfig& config) {
  out.set("num_key_value_heads", config.num_key_value_heads);
  out.set("head_dim", config.head_dim);
  if (config.model_type != "qwen2") out.set("attention_bias", config.qkv_bias);
  if (config.model_type == "llama") out.set("mlp_bias", false);
  if (config.model_type != "llama") out.set("use_sliding_window", false);
}

void set_fp8(ObjectWriter& out, Json& document) {
  ObjectWriter quantization(document);
  quantization.set("quant_method", std::string("fp8"));
  quantization.set("fmt", std::string("e4m3"));
  quantization.set("activation_scheme", std::string("dynamic"));
  JsonValue block(rapidjson::kArrayType);
  block.PushBack(128, document.GetAllocator()).PushBack(128, document.GetAllocator());
  quantization.set_value("weight_block_size", std::move(block));
  out.set_value("quantization_config", quantization.take());
}

}  // namespace

std::string model_config_json(const ModelConfig& config, std::string_view torch_dtype) {
  Json document;
  ObjectWriter out(document);
  set_common(out, document, config);
  set_rope(out, document, config.rope);
  if (config.attention == AttentionKind::mla) {
    set_mla(out, config);
    set_moe(out, config);
  } else {
    set_gqa(out, config);
  }
  const bool fp8 = torch_dtype == "fp8";
  if (fp8) set_fp8(out, document);
  out.set("torch_dtype", std::string(fp8 ? "bfloat16" : torch_dtype));
  return to_pretty_text(out.take());
}

}  // namespace temper
