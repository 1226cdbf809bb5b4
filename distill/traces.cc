#include "distill/traces.h"

#include "core/error.h"
#include "data/jsonl.h"
#include "data/row_fields.h"

namespace temper {
namespace {

// The first of the members that the row has; nullptr if it has none.
const JsonValue* first_of(const JsonValue& row, std::initializer_list<const char*> keys) {
  for (const char* key : keys)
    if (const JsonValue* value = find_member(row, key)) return value;
  return nullptr;
}

std::string last_message(const JsonValue& row, const std::string& where) {
  if (find_member(row, "messages") == nullptr) return "";
  const Conversation messages = read_messages(row, where);
  return !messages.empty() && messages.back().role == "assistant" ? messages.back().content : "";
}

std::vector<std::string> answers_of(const JsonValue& row, const std::string& where) {
  std::vector<std::string> answers;
  const JsonValue* list = first_of(row, {"generations", "completions"});
  if (list != nullptr && list->IsArray()) {
    for (const JsonValue& answer : list->GetArray()) answers.push_back(value_text(answer));
  } else if (const JsonValue* one = first_of(
                 row, {"completion", "response", "output", "message_content", "content"})) {
    answers.push_back(value_text(*one));
  } else if (std::string text = last_message(row, where); !text.empty()) {
    answers.push_back(std::move(text));
  }
  if (answers.empty())
    throw UserError({.what = "the row has no answer to learn from",
                     .where = where,
                     .expected = "\"generations\", \"completion\", \"response\" or \"messages\"",
                     .found = to_text(row).substr(0, 80)});
  const JsonValue* thinking =
      first_of(row, {"reasoning", "reasoning_content", "thinking", "message_thinking"});
  if (thinking != nullptr && answers.size() == 1)
    answers[0] = "<think>\n" + value_text(*thinking) + "\n</think>\n\n" + answers[0];
  return answers;
}

}  // namespace

Traces read_traces(const std::vector<std::filesystem::path>& files, const Tokenizer& tokenizer,
                   const ChatTemplate& chat, const PromptOptions& options) {
  Traces traces;
  for (const std::filesystem::path& file : files) {
    JsonlReader rows(file);
    while ((options.limit == 0 || traces.data.rows < options.limit) && rows.next()) {
      ++traces.data.rows;
      Prompt prompt = read_prompt(rows.row(), rows.where(), &tokenizer, &chat, options);
      if (const JsonValue* gold = find_member(rows.row(), "gtruth_answer"))
        prompt.gold = value_text(*gold);
      if (options.max_tokens > 0 && static_cast<int64_t>(prompt.ids.size()) > options.max_tokens) {
        ++traces.data.too_long;
        continue;
      }
      traces.data.no_gold += prompt.gold.empty();
      traces.answers.push_back(answers_of(rows.row(), rows.where()));
      traces.data.prompts.push_back(std::move(prompt));
    }
  }
  if (traces.data.prompts.empty())
    throw UserError(
        {.what = "the traces hold no row", .where = files.empty() ? "" : files[0].string()});
  return traces;
}

}  // namespace temper
