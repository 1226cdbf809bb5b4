// Data files as prompts for rollout, GRPO and eval.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/chat_template.h"
#include "data/sample.h"
#include "data/tokenizer.h"

namespace temper {

struct PromptOptions {
  std::string system = {};  // a system message for rows without one; "" for none
  std::string suffix = {};  // put behind the last user text: how to write the answer
  int64_t max_tokens = 0;   // longer prompts are left out and counted; 0: no limit
  int64_t vocab_size = 0;   // ids must be below; 0: not checked
  int64_t limit = 0;        // read at most so many rows; 0: all
};

struct PromptData {
  std::vector<Prompt> prompts;
  int64_t rows = 0;
  int64_t too_long = 0;  // left out
  int64_t no_gold = 0;   // kept, but no rule that needs a reference can judge them
};

// Turns one row into a prompt that ends where the model is to write:
//   {"prompt"|"question"|"problem"|"instruction": text}  one user turn
//   {"messages":[...]}  a conversation; an assistant turn at its end is no part of the prompt
//   {"ids":[...]}       as they are
// Its gold is "gold", "answer", "solution" or "target" (of GSM8K's answers what follows ####), or
// the assistant turn at the end of the messages; its id is "id" or "unique_id", else `where`.
// `tokenizer` and `chat` may be nullptr where the row is ids.
// Throws UserError naming `where` if the row is none of these.
Prompt read_prompt(const JsonValue& row, const std::string& where, const Tokenizer* tokenizer,
                   const ChatTemplate* chat, const PromptOptions& options = {});

// Reads whole files. Throws UserError naming file and line, and if no prompt is left.
PromptData read_prompts(const std::vector<std::filesystem::path>& files, const Tokenizer* tokenizer,
                        const ChatTemplate* chat, const PromptOptions& options = {});

}  // namespace temper
