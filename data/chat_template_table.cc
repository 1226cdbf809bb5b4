// The known chat templates.
#include "data/chat_template.h"

namespace temper {
namespace {

// Our wording of what the template of R1-Zero says (R1v2, table 1): who speaks, think then
// answer, and the tags; no hint on how to reason.
constexpr const char* kR1ZeroPreamble =
    "The following is a conversation between a User, who asks a question, and an Assistant, who "
    "solves it. The Assistant first works through the reasoning in its mind and only then gives "
    "the User the answer. The reasoning stands between <think> and </think>, the answer between "
    "<answer> and </answer>: <think> the reasoning </think> <answer> the answer </answer>. ";

TemplateSpec deepseek(std::string id, std::string about) {
  return {.id = std::move(id),
          .about = std::move(about),
          .prefix = "<｜begin▁of▁sentence｜>",
          .user_begin = "<｜User｜>",
          .assistant_begin = "<｜Assistant｜>",
          .stop = "<｜end▁of▁sentence｜>",
          .generation = "<｜Assistant｜>",
          .systems_first = true,
          .needs = {"<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"}};
}

TemplateSpec chatml(std::string id, std::string about, std::string default_system) {
  return {.id = std::move(id),
          .about = std::move(about),
          .default_system = std::move(default_system),
          .system_begin = "<|im_start|>system\n",
          .system_end = "<|im_end|>\n",
          .user_begin = "<|im_start|>user\n",
          .user_end = "<|im_end|>\n",
          .assistant_begin = "<|im_start|>assistant\n",
          .stop = "<|im_end|>",
          .assistant_end = "\n",
          .generation = "<|im_start|>assistant\n",
          .needs = {"<|im_start|>", "<|im_end|>"}};
}

std::string llama3_header(const std::string& role) {
  return "<|start_header_id|>" + role + "<|end_header_id|>\n\n";
}

std::vector<TemplateSpec> make_templates() {
  std::vector<TemplateSpec> list;
  list.push_back(deepseek("deepseek_v3", "DeepSeek-V3: system texts first, then turns"));
  TemplateSpec r1 = deepseek("deepseek_r1",
                             "DeepSeek-R1: V3's, earlier reasoning dropped, "
                             "answers start with <think>");
  r1.drops_reasoning = true;
  r1.generation += "<think>\n";
  list.push_back(std::move(r1));
  list.push_back({.id = "r1_zero",
                  .about = "R1-Zero: plain text that asks for <think> and <answer>",
                  .prefix = std::string("{bos}") + kR1ZeroPreamble,
                  .user_begin = "User: ",
                  .user_end = ". ",
                  .assistant_begin = "Assistant:",
                  .stop = "{eos}",
                  .assistant_end = "\n",
                  .generation = "Assistant:",
                  .no_system = true});
  list.push_back(chatml("chatml", "ChatML without a default system message", ""));
  list.push_back(chatml("smollm2", "SmolLM2-Instruct: ChatML with its default system message",
                        "You are a helpful AI assistant named SmolLM, trained by Hugging Face"));
  list.push_back(chatml("qwen2", "Qwen2-Instruct: ChatML with its default system message",
                        "You are a helpful assistant."));
  list.push_back(chatml("qwen2_5", "Qwen2.5-Instruct: ChatML with its default system message",
                        "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."));
  list.push_back({.id = "llama3",
                  .about = "Llama-3-Instruct",
                  .prefix = "<|begin_of_text|>",
                  .system_begin = llama3_header("system"),
                  .system_end = "<|eot_id|>",
                  .user_begin = llama3_header("user"),
                  .user_end = "<|eot_id|>",
                  .assistant_begin = llama3_header("assistant"),
                  .stop = "<|eot_id|>",
                  .generation = llama3_header("assistant"),
                  .trims = true,
                  .needs = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}});
  list.push_back({.id = "temper",
                  .about = "the built-in tiny tokenizer's",
                  .prefix = "<|begin|>",
                  .system_begin = "<|system|>",
                  .user_begin = "<|user|>",
                  .assistant_begin = "<|assistant|>",
                  .stop = "<|end|>",
                  .generation = "<|assistant|>",
                  .needs = {"<|begin|>", "<|user|>", "<|assistant|>", "<|end|>"}});
  list.push_back({.id = "raw",
                  .about = "the contents one after the other, EOS behind each answer",
                  .prefix = "{bos}",
                  .stop = "{eos}"});
  return list;
}

}  // namespace

const std::vector<TemplateSpec>& ChatTemplate::all() {
  static const std::vector<TemplateSpec> kTemplates = make_templates();
  return kTemplates;
}

}  // namespace temper
