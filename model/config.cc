#include "model/config.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/file.h"
#include "core/json_fields.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

const std::vector<std::string>& known_model_types() {
  static const std::vector<std::string> types = {"deepseek_v3", "deepseek_v2", "llama", "qwen2",
                                                 "qwen3"};
  return types;
}

// A key that Temper computes only one way: any other value would change the model silently.
void expect_flag(const JsonFields& fields, const char* key, bool only) {
  if (fields.boolean_or(key, only) != only)
    fields.fail(key, only ? "true" : "false", "Temper does not implement the other form");
}

// The scaling parameters, which both forms of config.json hold in one object.
void parse_rope_scaling(const JsonFields& fields, const ModelConfig& model, RopeConfig& rope) {
  // "rope_type" is the newer name; both occur together in files saved over years.
  const char* type_key = fields.has("rope_type") ? "rope_type" : "type";
  const std::string type =
      fields.choice_or(type_key, "default", {"default", "yarn", "linear", "llama3"});
  if (fields.number_or("partial_rotary_factor", 1.0) != 1.0)
    fields.fail("partial_rotary_factor", "1.0", "Temper rotates the whole head");
  if (type == "default") return;
  rope.factor = fields.number("factor", 1.0);
  if (type == "linear") {
    rope.type = RopeType::linear;
    return;
  }
  if (type == "llama3") {
    rope.type = RopeType::llama3;
    rope.low_freq_factor = fields.number("low_freq_factor");
    rope.high_freq_factor = fields.number("high_freq_factor");
    rope.original_max_position_embeddings = fields.integer("original_max_position_embeddings", 1);
    if (rope.high_freq_factor <= rope.low_freq_factor)
      fields.fail("high_freq_factor", "a number above low_freq_factor");
    return;
  }
  rope.type = RopeType::yarn;
  rope.beta_fast = fields.number_or("beta_fast", 32.0);
  rope.beta_slow = fields.number_or("beta_slow", 1.0);
  rope.mscale = fields.number_or("mscale", 1.0, 0.0);
  rope.mscale_all_dim = fields.number_or("mscale_all_dim", 0.0, 0.0);
  rope.attention_factor = fields.number_or("attention_factor", 0.0);
  rope.original_max_position_embeddings =
      fields.integer_or("original_max_position_embeddings", model.max_position_embeddings, 1);
  expect_flag(fields, "truncate", true);
}

void parse_rope(const JsonFields& fields, ModelConfig& config) {
  config.rope.rope_theta = fields.number_or("rope_theta", 10000.0);
  if (fields.has("rope_parameters")) {
    const JsonFields parameters = fields.object("rope_parameters");
    config.rope.rope_theta = parameters.number_or("rope_theta", config.rope.rope_theta);
    parse_rope_scaling(parameters, config, config.rope);
    parameters.refuse_mistyped();
  } else if (fields.has("rope_scaling")) {
    const JsonFields scaling = fields.object("rope_scaling");
    parse_rope_scaling(scaling, config, config.rope);
    scaling.refuse_mistyped();
  }
}

void parse_common(const JsonFields& fields, ModelConfig& config) {
  config.vocab_size = fields.integer("vocab_size", 1, INT32_MAX);
  config.hidden_size = fields.integer("hidden_size", 1);
  config.intermediate_size = fields.integer("intermediate_size", 1);
  config.num_hidden_layers = fields.integer("num_hidden_layers", 1, 100000);
  config.num_attention_heads = fields.integer("num_attention_heads", 1);
  config.max_position_embeddings = fields.integer("max_position_embeddings", 1);
  config.rms_norm_eps = fields.number_or("rms_norm_eps", 1e-6);
  config.tie_word_embeddings = fields.boolean_or("tie_word_embeddings", false);
  config.initializer_range = fields.number_or("initializer_range", 0.02, 0.0);
  fields.choice_or("hidden_act", "silu", {"silu"});
  config.bos_token_id = fields.integer_or("bos_token_id", -1, -1);
  config.eos_token_id = fields.integers_or_none("eos_token_id", 0);
  for (const int64_t id : config.eos_token_id)
    if (id >= config.vocab_size) fields.fail("eos_token_id", "ids below vocab_size");
  if (config.bos_token_id >= config.vocab_size)
    fields.fail("bos_token_id", "an id below vocab_size");
  parse_rope(fields, config);
}

void parse_gqa(const JsonFields& fields, ModelConfig& config) {
  config.attention = AttentionKind::gqa;
  const int64_t heads = config.num_attention_heads;
  config.num_key_value_heads = fields.integer_or("num_key_value_heads", heads, 1, heads);
  if (heads % config.num_key_value_heads != 0)
    fields.fail("num_key_value_heads", "a divisor of num_attention_heads");
  const bool qwen3 = config.model_type == "qwen3", qwen2 = config.model_type == "qwen2";
  if (!fields.has("head_dim") && !qwen3 && config.hidden_size % heads != 0)
    fields.fail("head_dim", "a value, because num_attention_heads does not divide hidden_size");
  config.head_dim = fields.integer_or("head_dim", qwen3 ? 128 : config.hidden_size / heads, 1);
  if (config.head_dim % 2 != 0) fields.fail("head_dim", "an even number");
  const bool attention_bias = !qwen2 && fields.boolean_or("attention_bias", false);
  config.qkv_bias = qwen2 || attention_bias;
  config.o_bias = attention_bias;
  config.qk_norm = qwen3;
  expect_flag(fields, "mlp_bias", false);
  expect_flag(fields, "use_sliding_window", false);
}

void parse_mla(const JsonFields& fields, ModelConfig& config) {
  config.attention = AttentionKind::mla;
  config.q_lora_rank = fields.integer_or("q_lora_rank", 0, 0);
  config.kv_lora_rank = fields.integer("kv_lora_rank", 1);
  config.qk_nope_head_dim = fields.integer("qk_nope_head_dim", 1);
  config.qk_rope_head_dim = fields.integer("qk_rope_head_dim", 2);
  if (config.qk_rope_head_dim % 2 != 0) fields.fail("qk_rope_head_dim", "an even number");
  config.v_head_dim = fields.integer("v_head_dim", 1);
  expect_flag(fields, "attention_bias", false);
  expect_flag(fields, "rope_interleave", true);
}

void parse_gate(const JsonFields& fields, ModelConfig& config) {
  const bool v3 = config.model_type == "deepseek_v3";
  config.norm_topk_prob = fields.boolean_or("norm_topk_prob", v3);
  config.routed_scaling_factor =
      v3 ? fields.number("routed_scaling_factor") : fields.number_or("routed_scaling_factor", 1.0);
  const std::string scoring =
      fields.choice_or("scoring_func", v3 ? "sigmoid" : "softmax", {"sigmoid", "softmax"});
  config.scoring_func = scoring == "sigmoid" ? ScoringFunc::sigmoid : ScoringFunc::softmax;
  const std::string method = fields.choice_or("topk_method", v3 ? "noaux_tc" : "greedy",
                                              {"noaux_tc", "greedy", "group_limited_greedy"});
  config.has_correction_bias = method == "noaux_tc";
  config.group_limited = method != "greedy";
  const int64_t experts = config.n_routed_experts;
  if (!config.group_limited) return;
  config.n_group = fields.integer("n_group", 1, experts);
  config.topk_group = fields.integer("topk_group", 1, config.n_group);
  if (experts % config.n_group != 0) fields.fail("n_group", "a divisor of n_routed_experts");
  const int64_t open = experts / config.n_group * config.topk_group;
  if (config.num_experts_per_tok > open)
    fields.fail("num_experts_per_tok",
                "at most the " + std::to_string(open) + " experts that topk_group groups hold");
}

void parse_moe(const JsonFields& fields, ModelConfig& config) {
  config.n_routed_experts = fields.integer_or("n_routed_experts", 0, 0);
  config.num_nextn_predict_layers = fields.integer_or("num_nextn_predict_layers", 0, 0, 64);
  if (config.n_routed_experts == 0) return;
  config.n_shared_experts = fields.integer_or("n_shared_experts", 0, 0);
  config.num_experts_per_tok = fields.integer("num_experts_per_tok", 1, config.n_routed_experts);
  config.moe_intermediate_size = fields.integer("moe_intermediate_size", 1);
  config.first_k_dense_replace = fields.integer_or("first_k_dense_replace", 0, 0);
  config.moe_layer_freq = fields.integer_or("moe_layer_freq", 1, 1);
  parse_gate(fields, config);
}

// The classes of a "...ForSequenceClassification": those that id2label names, as transformers
// counts them. Other architectures have none.
void parse_labels(const JsonValue& json, const JsonFields& fields, ModelConfig& config) {
  const JsonValue* list = find_member(json, "architectures");
  if (list == nullptr || !list->IsArray() || list->Empty() || !(*list)[0].IsString()) return;
  if (!std::string_view((*list)[0].GetString()).ends_with("ForSequenceClassification")) return;
  const JsonValue* names = find_member(json, "id2label");
  const int64_t named = names != nullptr && names->IsObject() ? names->MemberCount() : 2;
  config.num_labels = fields.integer_or("num_labels", named, 1);
  if (config.num_labels != 1)
    fields.fail("id2label", "one label: a reward model gives one number",
                "this is a classifier of " + std::to_string(config.num_labels) + " classes");
}

void check_quantization(const JsonFields& fields) {
  if (!fields.has("quantization_config")) return;
  const JsonFields quantization = fields.object("quantization_config");
  if (quantization.text_or("quant_method", "") != "fp8" ||
      quantization.text_or("fmt", "e4m3") != "e4m3")
    quantization.fail("quant_method", "fp8 with fmt e4m3 and a scale a block of 128x128",
                      "take the unquantised checkpoint of this model");
}

// generation_config.json often names more stop tokens than config.json does.
void add_generation_eos(const fs::path& dir, ModelConfig& config) {
  const fs::path path = dir / "generation_config.json";
  if (!fs::exists(path)) return;
  const Json json = parse_json(read_file(path), path.string());
  for (const int64_t id : JsonFields(json, path.string()).integers_or_none("eos_token_id", 0)) {
    auto& known = config.eos_token_id;
    if (id < config.vocab_size && std::find(known.begin(), known.end(), id) == known.end())
      known.push_back(id);
  }
}

}  // namespace

double ModelConfig::softmax_scale() const {
  if (attention == AttentionKind::gqa) return 1.0 / std::sqrt(static_cast<double>(head_dim));
  double scale = 1.0 / std::sqrt(static_cast<double>(qk_head_dim()));
  if (rope.type == RopeType::yarn && rope.factor > 1.0) {
    const double mscale = 0.1 * rope.mscale_all_dim * std::log(rope.factor) + 1.0;
    scale *= mscale * mscale;
  }
  return scale;
}

ModelConfig parse_model_config(const JsonValue& json, const std::string& where) {
  const JsonFields fields(json, where);
  ModelConfig config;
  config.model_type = fields.choice("model_type", known_model_types());
  parse_common(fields, config);
  if (config.model_type.starts_with("deepseek")) {
    parse_mla(fields, config);
    parse_moe(fields, config);
  } else {
    parse_gqa(fields, config);
  }
  parse_labels(json, fields, config);
  check_quantization(fields);
  fields.refuse_mistyped();
  return config;
}

ModelConfig read_model_config(const fs::path& model_dir) {
  const fs::path path = model_dir / "config.json";
  if (!fs::is_directory(model_dir) || !fs::exists(path))
    throw UserError({.what = "not a model folder: it has no config.json",
                     .where = model_dir.string(),
                     .hint = "name a Hugging Face folder; `temper model convert` makes one from "
                             "a .gguf or a llama2.c .bin file"});
  const Json json = parse_json(read_file(path), path.string());
  ModelConfig config = parse_model_config(json, path.string());
  add_generation_eos(model_dir, config);
  return config;
}

}  // namespace temper
