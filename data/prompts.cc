#include "data/prompts.h"

#include "core/error.h"
#include "data/jsonl.h"
#include "data/row_fields.h"

namespace temper {
namespace {

std::string id_of(const JsonValue& row, const std::string& where) {
  for (const char* key : {"id", "unique_id"}) {
    if (const JsonValue* id = find_member(row, key)) return value_text(*id);
  }
  return where;
}

Conversation question_of(const JsonValue& row, const std::string& where) {
  if (find_member(row, "messages") != nullptr) return read_messages(row, where);
  const JsonValue* question = find_question(row);
  if (question == nullptr || !question->IsString()) {
    throw UserError({.what = "the row has no prompt",
                     .where = where,
                     .expected = "\"prompt\", \"question\", \"problem\", \"messages\" or \"ids\"",
                     .found = to_text(row).substr(0, 80)});
  }
  return {{"user", value_text(*question)}};
}

}  // namespace

Prompt read_prompt(const JsonValue& row, const std::string& where, const Tokenizer* tokenizer,
                   const ChatTemplate* chat, const PromptOptions& options) {
  Prompt prompt;
  prompt.id = id_of(row, where);
  prompt.gold = read_gold(row);
  prompt.extra = to_text(row);
  if (find_member(row, "ids") != nullptr) {
    prompt.ids = read_id_list(row, "ids", options.vocab_size, where);
    if (tokenizer != nullptr) prompt.text = tokenizer->decode(prompt.ids);
    return prompt;
  }
  if (tokenizer == nullptr || chat == nullptr) {
    throw UserError({.what = "the row has no `ids`, and the model folder has no tokenizer for text",
                     .where = where,
                     .expected = "{\"ids\":[...]}"});
  }
  prompt.messages = question_of(row, where);
  if (!prompt.messages.empty() && prompt.messages.back().role == "assistant") {
    if (prompt.gold.empty()) prompt.gold = prompt.messages.back().content;
    prompt.messages.pop_back();
  }
  const bool has_system = !prompt.messages.empty() && prompt.messages[0].role == "system";
  if (!options.system.empty() && !has_system) {
    prompt.messages.insert(prompt.messages.begin(), {"system", options.system});
  }
  for (size_t i = prompt.messages.size(); i-- > 0;) {
    if (prompt.messages[i].role != "user") continue;
    prompt.messages[i].content += options.suffix;
    break;
  }
  const auto segments = chat->render(prompt.messages, {.add_generation_prompt = true});
  prompt.text = join_segments(segments);
  prompt.ids = encode_segments(*tokenizer, segments).ids;
  return prompt;
}

PromptData read_prompts(const std::vector<std::filesystem::path>& files, const Tokenizer* tokenizer,
                        const ChatTemplate* chat, const PromptOptions& options) {
  PromptData data;
  for (const std::filesystem::path& file : files) {
    JsonlReader rows(file);
    while ((options.limit == 0 || data.rows < options.limit) && rows.next()) {
      ++data.rows;
      Prompt prompt = read_prompt(rows.row(), rows.where(), tokenizer, chat, options);
      const auto length = static_cast<int64_t>(prompt.ids.size());
      if (options.max_tokens > 0 && length > options.max_tokens) {
        ++data.too_long;
        continue;
      }
      if (length == 0) {
        throw UserError({.what = "the prompt has no tokens",
                         .where = rows.where(),
                         .hint = "the model needs at least one token to start from"});
      }
      data.no_gold += prompt.gold.empty();
      data.prompts.push_back(std::move(prompt));
    }
  }
  if (data.prompts.empty()) {
    throw UserError({.what = "the data has no prompt",
                     .where = files.empty() ? "" : files[0].string(),
                     .found = std::to_string(data.rows) + " rows, " +
                              std::to_string(data.too_long) + " of them too long",
                     .hint = data.rows == 0 ? "give a file with a row a line, such as "
                                              "{\"prompt\":...,\"gold\":...}"
                                            : "raise --max-prompt-tokens"});
  }
  return data;
}

}  // namespace temper
