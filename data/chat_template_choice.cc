// Which known template a model's own is. Jinja is never executed: a template is taken for a known
// one only by texts that no other family writes, and anything unclear is left to the user.
#include "core/error.h"
#include "data/chat_template.h"

namespace temper {
namespace {

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string recognise_deepseek(std::string_view jinja) {
  // V3.1 and later switch reasoning by a variable and close empty reasoning with </think>.
  if (has(jinja, "thinking")) return "";
  const bool opens = has(jinja, "<think>\\n") || has(jinja, "<think>\n");
  if (has(jinja, "split('</think>')") && opens) return "deepseek_r1";
  return has(jinja, "think>") ? "" : "deepseek_v3";
}

// A default system message stands in the Jinja text as a literal behind the header. It must be one
// that we know, or we would silently leave it out.
std::string recognise_chatml(std::string_view jinja) {
  if (has(jinja, "enable_thinking") || has(jinja, "reasoning_content")) return "";  // Qwen3
  static constexpr std::string_view kHeader = "<|im_start|>system";
  std::string found = "chatml";
  for (size_t at = jinja.find(kHeader); at != std::string_view::npos;
       at = jinja.find(kHeader, at + 1)) {
    std::string_view rest = jinja.substr(at + kHeader.size());
    if (rest.starts_with('\n')) {
      rest.remove_prefix(1);
    } else if (rest.starts_with("\\n")) {
      rest.remove_prefix(2);
    }
    const std::string_view message = rest.substr(0, rest.find_first_of("<'\"{"));
    if (message.empty()) continue;
    found.clear();
    for (const TemplateSpec& spec : ChatTemplate::all()) {
      if (spec.default_system == message) found = spec.id;
    }
    if (found.empty()) return found;
  }
  return found;
}

}  // namespace

std::string ChatTemplate::recognise(std::string_view jinja) {
  if (has(jinja, "<｜User｜>") && has(jinja, "<｜Assistant｜>")) return recognise_deepseek(jinja);
  if (has(jinja, "<|im_start|>")) return recognise_chatml(jinja);
  if (has(jinja, "<|start_header_id|>")) {
    return has(jinja, "Cutting Knowledge") ? "" : "llama3";  // 3.1 and later write the date
  }
  if (has(jinja, "<|user|>") && has(jinja, "<|begin|>")) return "temper";
  return "";
}

ChatTemplate ChatTemplate::choose(const std::string& id, const Tokenizer& tokenizer) {
  if (!id.empty()) return ChatTemplate(id, tokenizer);
  if (tokenizer.chat_template().empty()) return ChatTemplate("raw", tokenizer);
  const std::string known = recognise(tokenizer.chat_template());
  if (!known.empty()) return ChatTemplate(known, tokenizer);
  std::string listing;
  for (const TemplateSpec& spec : all()) listing += (listing.empty() ? "" : ", ") + spec.id;
  throw UserError({.what = "the model's chat template is not one that Temper knows",
                   .where = (tokenizer.path() / "tokenizer_config.json").string(),
                   .expected = "a template that can be recognised",
                   .found = tokenizer.chat_template().substr(0, 80) + "...",
                   .hint = "choose the nearest with --template: " + listing});
}

}  // namespace temper
