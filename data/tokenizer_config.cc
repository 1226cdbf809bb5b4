#include "core/file.h"
#include "data/json_fields.h"
#include "data/tokenizer_parts.h"

namespace temper {
namespace {

// A token is written as its text or as an object with `content`.
std::string token_field(const JsonValue& config, const char* key) {
  const JsonValue* member = find_member(config, key);
  if (member == nullptr) return "";
  return member->IsObject() ? string_field(*member, "content") : string_field(config, key);
}

// One text, or a list of named ones of which `default` counts.
std::string chat_template_field(const JsonValue& config) {
  const JsonValue* member = find_member(config, "chat_template");
  if (member == nullptr || !member->IsArray()) return string_field(config, "chat_template");
  for (const JsonValue& named : member->GetArray()) {
    if (string_field(named, "name") == "default") return string_field(named, "template");
  }
  return "";
}

}  // namespace

TokenizerConfig read_tokenizer_config(const std::filesystem::path& model) {
  TokenizerConfig config;
  const std::filesystem::path path = model / "tokenizer_config.json";
  if (std::filesystem::exists(path)) {
    const Json json = parse_json(read_file(path), path.string());
    config.bos = token_field(json, "bos_token");
    config.eos = token_field(json, "eos_token");
    config.pad = token_field(json, "pad_token");
    config.add_bos = bool_field(json, "add_bos_token", false);
    config.add_eos = bool_field(json, "add_eos_token", false);
    config.chat_template = chat_template_field(json);
  }
  const std::filesystem::path jinja = model / "chat_template.jinja";
  if (std::filesystem::exists(jinja)) config.chat_template = read_file(jinja);
  return config;
}

}  // namespace temper
