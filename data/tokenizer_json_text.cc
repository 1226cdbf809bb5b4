#include "data/tokenizer_json_text.h"

#include "core/error.h"
#include "core/json.h"

namespace temper {
namespace {

// A pre-tokenizer that GGUF files only name, as tokenizer.json spells it out.
struct KnownPre {
  std::vector<std::string> names;
  std::string steps;  // JSON, before the ByteLevel step
  bool gpt2_pattern;  // whether that step also splits
  bool ignore_merges = false;
  bool nfc = false;
};

std::string split(const std::string& regex) {
  return R"({"type":"Split","pattern":{"Regex":)" + quote_json(regex) +
         R"(},"behavior":"Isolated","invert":false},)";
}

// Llama-3's pattern; Qwen2's takes one digit at a time.
std::string llama3_pattern(const std::string& digits) {
  return R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)" + digits +
         R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
}

std::vector<KnownPre> known_pres() {
  const std::string digits = R"({"type":"Digits","individual_digits":true},)";
  const std::string deepseek_words =
      R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
      R"( ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  return {
      {{"bytes"}, "", false},
      {{"gpt-2", "default", "phi-2", "olmo", ""}, "", true},
      {{"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"}, digits, true},
      {{"llama-bpe", "llama3", "llama-v3"}, split(llama3_pattern("\\p{N}{1,3}")), false, true},
      {{"qwen2", "deepseek-r1-qwen"}, split(llama3_pattern("\\p{N}")), false, false, true},
      {{"deepseek-v3"},
       split("\\p{N}{1,3}") + split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+") +
           split(deepseek_words),
       false},
  };
}

KnownPre find_pre(const std::string& name) {
  std::string listing;
  for (const KnownPre& pre : known_pres()) {
    for (const std::string& known : pre.names) {
      if (known == name) return pre;
      if (!known.empty()) listing += (listing.empty() ? "" : ", ") + known;
    }
  }
  throw UserError({.what = "this pre-tokenizer is not known",
                   .where = "tokenizer.ggml.pre",
                   .expected = "one of " + listing,
                   .found = name,
                   .hint = "convert the weights from the model's Hugging Face folder instead"});
}

std::string added_tokens(const TokenizerText& text) {
  std::string json;
  for (size_t id = 0; id < text.names.size(); ++id) {
    const TokenType type = text.types[id];
    const bool special = type == TokenType::control || type == TokenType::unknown;
    if (!special && type != TokenType::user_defined) continue;
    json += json.empty() ? "\n" : ",\n";
    json += R"({"id":)" + std::to_string(id) + R"(,"content":)" + quote_json(text.names[id]) +
            R"(,"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":)" +
            (special ? "true}" : "false}");
  }
  return "[" + json + "]";
}

// BOS in front, where the model wants it.
std::string post_processor(const ForeignVocabulary& v, const TokenizerText& text) {
  if (!v.add_bos || v.bos_id < 0) return "null";
  const std::string bos = quote_json(text.names[static_cast<size_t>(v.bos_id)]);
  const std::string special = R"({"SpecialToken":{"id":)" + bos + R"(,"type_id":0}},)";
  return R"({"type":"TemplateProcessing","single":[)" + special +
         R"({"Sequence":{"id":"A","type_id":0}}],"pair":[)" + special +
         R"({"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],)" +
         R"("special_tokens":{)" + bos + R"(:{"id":)" + bos + R"(,"ids":[)" +
         std::to_string(v.bos_id) + R"(],"tokens":[)" + bos + "]}}}";
}

struct Pipeline {
  std::string normalizer = "null", pre_tokenizer = "null", decoder;
  bool ignore_merges = false;
};

Pipeline pipeline_of(const ForeignVocabulary& v) {
  Pipeline p;
  if (v.kind == VocabularyKind::sentencepiece) {
    const std::string prepend = R"({"type":"Prepend","prepend":"▁"},)";
    p.normalizer = R"({"type":"Sequence","normalizers":[)" + (v.add_space_prefix ? prepend : "") +
                   R"({"type":"Replace","pattern":{"String":" "},"content":"▁"}]})";
    p.decoder = R"({"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},)"
                R"("content":" "},{"type":"ByteFallback"},{"type":"Fuse"})";
    if (v.add_space_prefix) p.decoder += R"(,{"type":"Strip","content":" ","start":1,"stop":0})";
    p.decoder += "]}";
    return p;
  }
  const KnownPre pre = find_pre(v.pre);
  const std::string byte_level =
      R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":)" +
      std::string(pre.gpt2_pattern ? "true}" : "false}");
  p.pre_tokenizer = R"({"type":"Sequence","pretokenizers":[)" + pre.steps + byte_level + "]}";
  p.decoder = R"({"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,)"
              R"("use_regex":true})";
  if (pre.nfc) p.normalizer = R"({"type":"NFC"})";
  p.ignore_merges = pre.ignore_merges;
  return p;
}

std::string unk_name(const ForeignVocabulary& v, const TokenizerText& text) {
  const bool has = v.kind == VocabularyKind::sentencepiece && v.unk_id >= 0;
  return has ? quote_json(text.names[static_cast<size_t>(v.unk_id)]) : "null";
}

}  // namespace

std::string tokenizer_json_text(const ForeignVocabulary& v, const TokenizerText& text) {
  const bool bytes = v.kind == VocabularyKind::byte_level;
  const Pipeline pipeline = pipeline_of(v);
  const auto flag = [](bool on) { return std::string(on ? "true" : "false"); };
  std::string json = "{\n\"version\":\"1.0\",\n\"truncation\":null,\n\"padding\":null,\n";
  json += "\"added_tokens\":" + added_tokens(text) + ",\n";
  json += "\"normalizer\":" + pipeline.normalizer + ",\n";
  json += "\"pre_tokenizer\":" + pipeline.pre_tokenizer + ",\n";
  json += "\"post_processor\":" + post_processor(v, text) + ",\n";
  json += "\"decoder\":" + pipeline.decoder + ",\n";
  json += R"("model":{"type":"BPE","dropout":null,"unk_token":)" + unk_name(v, text) +
          R"(,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":)" +
          flag(!bytes) + R"(,"byte_fallback":)" + flag(!bytes) + R"(,"ignore_merges":)" +
          flag(pipeline.ignore_merges) + ",\n\"vocab\":{";
  bool first = true;
  for (size_t id = 0; id < text.names.size(); ++id) {
    // Added tokens as well: tokenizers gives one that is not here an id of its own choice.
    json += (first ? "\n" : ",\n") + quote_json(text.names[id]) + ":" + std::to_string(id);
    first = false;
  }
  json += "},\n\"merges\":[";
  for (size_t i = 0; i < text.merges.size(); ++i) {
    json += (i == 0 ? "\n" : ",\n") + quote_json(text.merges[i]);
  }
  return json + "]}\n}\n";
}

std::string tokenizer_config_text(const ForeignVocabulary& v, const TokenizerText& text) {
  std::string json = "{\n";
  const auto token = [&](const char* key, int32_t id) {
    if (id < 0 || static_cast<size_t>(id) >= text.names.size()) return;
    json += "  \"" + std::string(key) + "\": " + quote_json(text.names[static_cast<size_t>(id)]) +
            ",\n";
  };
  token("bos_token", v.bos_id);
  token("eos_token", v.eos_id);
  token("unk_token", v.unk_id);
  token("pad_token", v.pad_id);
  json += std::string("  \"add_bos_token\": ") + (v.add_bos ? "true" : "false") + ",\n";
  json += "  \"add_eos_token\": false,\n  \"clean_up_tokenization_spaces\": false,\n";
  if (!v.chat_template.empty()) {
    json += "  \"chat_template\": " + quote_json(v.chat_template) + ",\n";
  }
  return json + "  \"tokenizer_class\": \"PreTrainedTokenizerFast\"\n}\n";
}

}  // namespace temper
