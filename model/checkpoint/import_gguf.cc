#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <set>

#include "core/error.h"
#include "model/checkpoint/gguf.h"
#include "model/checkpoint/hf_names.h"
#include "model/checkpoint/import.h"

namespace temper {
namespace {

// Llama 3.1 and later keep their rotary scaling as a tensor of factors: only the largest one (the
// factor itself) differs between the releases.
void read_rope(const GgufFile& file, ModelConfig& config) {
  RopeConfig& rope = config.rope;
  rope.rope_theta = file.number_or("llama.rope.freq_base", 10000.0);
  if (file.integer_or("llama.rope.dimension_count", config.head_dim) != config.head_dim)
    file.fail("llama.rope.dimension_count differs from the head's size", "", "",
              "Temper rotates the whole head");
  const std::string type = file.text_or("llama.rope.scaling.type", "none");
  if (type == "linear") {
    rope.type = RopeType::linear;
    rope.factor = file.number_or("llama.rope.scaling.factor", 1.0);
  } else if (type == "yarn") {
    rope.type = RopeType::yarn;
    rope.factor = file.number_or("llama.rope.scaling.factor", 1.0);
    rope.original_max_position_embeddings =
        file.integer("llama.rope.scaling.original_context_length");
  } else if (type != "none") {
    file.fail("llama.rope.scaling.type is not known", "none, linear or yarn", type);
  }
  const GgufTensor* factors = file.find("rope_freqs.weight");
  if (factors == nullptr) return;
  std::vector<float> values(static_cast<size_t>(factors->numel()));
  dequantize_ggml(*factors, values.data());
  rope.type = RopeType::llama3;
  rope.factor = *std::max_element(values.begin(), values.end());
  rope.low_freq_factor = 1.0;
  rope.high_freq_factor = 4.0;
  rope.original_max_position_embeddings = 8192;
}

ModelConfig read_config(const GgufFile& file) {
  const std::string architecture = file.text_or("general.architecture", "");
  if (architecture != "llama")
    file.fail("a GGUF architecture that Temper does not import", "llama", architecture,
              "take the model's Hugging Face folder instead");
  if (file.integer_or("llama.expert_count", 0) > 0)
    file.fail("a llama model with experts (Mixtral) is not imported");
  ModelConfig config;
  config.model_type = "llama";
  config.attention = AttentionKind::gqa;
  config.hidden_size = file.integer("llama.embedding_length");
  config.intermediate_size = file.integer("llama.feed_forward_length");
  config.num_hidden_layers = file.integer("llama.block_count");
  config.num_attention_heads = file.integer("llama.attention.head_count");
  config.num_key_value_heads =
      file.integer_or("llama.attention.head_count_kv", config.num_attention_heads);
  if (std::min({config.hidden_size, config.intermediate_size, config.num_hidden_layers,
                config.num_attention_heads, config.num_key_value_heads}) < 1)
    file.fail("a dimension in the metadata is not positive");
  config.head_dim = file.integer_or("llama.attention.key_length",
                                    config.hidden_size / config.num_attention_heads);
  config.max_position_embeddings = file.integer("llama.context_length");
  config.rms_norm_eps = file.number_or("llama.attention.layer_norm_rms_epsilon", 1e-5);
  // Stored as float32: the nearest short decimal is what the authors wrote.
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", config.rms_norm_eps);
  config.rms_norm_eps = std::stod(text);
  const GgufTensor* embedding = file.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2)
    file.fail("token_embd.weight is missing or not a matrix");
  config.vocab_size = embedding->shape[0];
  config.tie_word_embeddings = file.find("output.weight") == nullptr;
  config.qkv_bias = file.find("blk.0.attn_q.bias") != nullptr;
  config.o_bias = file.find("blk.0.attn_output.bias") != nullptr;
  if (config.qkv_bias != config.o_bias)
    file.fail("biases on some of the attention's projections only are not llama's form");
  read_rope(file, config);
  return config;
}

ForeignVocabulary read_vocabulary(const GgufFile& file, ModelConfig& config) {
  const std::string model = file.text_or("tokenizer.ggml.model", "");
  ForeignVocabulary vocabulary;
  if (model != "gpt2" && model != "llama")
    file.fail("a GGUF tokenizer that Temper does not import", "gpt2 or llama", model);
  const bool byte_level = model == "gpt2";
  vocabulary.kind = byte_level ? VocabularyKind::byte_level : VocabularyKind::sentencepiece;
  vocabulary.pre = file.text_or("tokenizer.ggml.pre", "");
  vocabulary.tokens = file.texts("tokenizer.ggml.tokens");
  vocabulary.merges = file.texts("tokenizer.ggml.merges");
  for (const double score : file.numbers("tokenizer.ggml.scores"))
    vocabulary.scores.push_back(static_cast<float>(score));
  for (const int64_t type : file.integers("tokenizer.ggml.token_type"))
    vocabulary.types.push_back(static_cast<TokenType>(type));
  const auto id = [&](const char* key) { return static_cast<int32_t>(file.integer_or(key, -1)); };
  vocabulary.bos_id = id("tokenizer.ggml.bos_token_id");
  vocabulary.eos_id = id("tokenizer.ggml.eos_token_id");
  vocabulary.unk_id = id("tokenizer.ggml.unknown_token_id");
  vocabulary.pad_id = id("tokenizer.ggml.padding_token_id");
  vocabulary.add_bos = file.boolean_or("tokenizer.ggml.add_bos_token", !byte_level);
  vocabulary.add_space_prefix = file.boolean_or("tokenizer.ggml.add_space_prefix", true);
  vocabulary.chat_template = file.text_or("tokenizer.chat_template", "");
  config.bos_token_id = vocabulary.bos_id;
  if (vocabulary.eos_id >= 0) config.eos_token_id = {vocabulary.eos_id};
  return vocabulary;
}

// "model.layers.3.self_attn.q_proj.weight" -> "blk.3.attn_q.weight".
std::string gguf_name(const std::string& name) {
  if (name == "model.embed_tokens.weight") return "token_embd.weight";
  if (name == "model.norm.weight") return "output_norm.weight";
  if (name == "lm_head.weight") return "output.weight";
  static const std::pair<const char*, const char*> kParts[] = {
      {"input_layernorm", "attn_norm"},    {"self_attn.q_proj", "attn_q"},
      {"self_attn.k_proj", "attn_k"},      {"self_attn.v_proj", "attn_v"},
      {"self_attn.o_proj", "attn_output"}, {"post_attention_layernorm", "ffn_norm"},
      {"mlp.gate_proj", "ffn_gate"},       {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"}};
  const std::string prefix = "model.layers.";
  const size_t layer_end = name.find('.', prefix.size());
  const size_t part_end = name.rfind('.');
  const std::string part = name.substr(layer_end + 1, part_end - layer_end - 1);
  for (const auto& [published, gguf] : kParts)
    if (part == published)
      return "blk." + name.substr(prefix.size(), layer_end - prefix.size()) + "." + gguf +
             name.substr(part_end);
  require(false, "a llama tensor without a GGUF name: " + name);
  return "";
}

void fill(const PublishedTensor& named, const GgufTensor& source, const ModelConfig& config) {
  const bool is_query = named.name.find("self_attn.q_proj") != std::string::npos;
  const bool is_key = named.name.find("self_attn.k_proj") != std::string::npos;
  if (!is_query && !is_key) return dequantize_ggml(source, named.part.get<float>());
  std::vector<float> pairs(static_cast<size_t>(source.numel()));
  dequantize_ggml(source, pairs.data());
  const int64_t heads = is_query ? config.num_attention_heads : config.num_key_value_heads;
  pairs_to_halves(pairs.data(), named.part.get<float>(), heads, config.head_dim,
                  source.numel() / (heads * config.head_dim));
}

}  // namespace

void pairs_to_halves(const float* source, float* target, int64_t heads, int64_t head_dim,
                     int64_t in) {
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t half = 0; half < 2; ++half)
      for (int64_t j = 0; j < head_dim / 2; ++j) {
        const float* row = source + (h * head_dim + 2 * j + half) * in;
        std::copy(row, row + in, target + (h * head_dim + half * head_dim / 2 + j) * in);
      }
}

bool is_gguf(const std::filesystem::path& path) {
  char letters[4] = {};
  std::ifstream(path, std::ios::binary).read(letters, 4);
  return std::string_view(letters, 4) == "GGUF";
}

ImportedModel import_gguf(Context& ctx, const std::filesystem::path& path) {
  const GgufFile file(path);
  ImportedModel model;
  model.config = read_config(file);
  model.vocabulary = read_vocabulary(file, model.config);
  model.weights = allocate_weights(model.config, DType::f32);
  std::set<std::string> used = {"rope_freqs.weight"};
  std::vector<std::pair<PublishedTensor, const GgufTensor*>> jobs;
  std::string problems;
  for (const PublishedTensor& named : published_tensors(model.weights.view, model.config)) {
    const std::string name = gguf_name(named.name);
    const GgufTensor* tensor = file.find(name);
    used.insert(name);
    const std::vector<int64_t> shape(named.part.shape.begin(),
                                     named.part.shape.begin() + named.part.rank);
    if (tensor == nullptr)
      problems += "\n    " + name + ": missing";
    else if (tensor->shape != shape)
      problems += "\n    " + name + ": its shape is not " + named.part.shape_text();
    else
      jobs.emplace_back(named, tensor);
  }
  for (const GgufTensor& tensor : file.tensors())
    if (!used.contains(tensor.name)) problems += "\n    " + tensor.name + ": unexpected";
  if (!problems.empty()) file.fail("the tensors do not fit the metadata", "", problems);
  ctx.pool.parallel_for(static_cast<int64_t>(jobs.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto& [named, tensor] = jobs[static_cast<size_t>(i)];
      fill(named, *tensor, model.config);
    }
  });
  return model;
}

}  // namespace temper
