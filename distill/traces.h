// Recorded answers of a teacher: JSON rows of a question with one answer or several.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/prompts.h"

namespace temper {

struct Traces {
  PromptData data;
  std::vector<std::vector<std::string>> answers;  // of data.prompts, in order
};

// Reads rows of
//   a question as prompts have it ("prompt", "question", "problem", "messages" up to the answer)
//   the answers: a list "generations" or "completions", else "completion", "response", "output",
//     "message_content" or "content", else the last message
//   the thinking before one answer: "reasoning", "reasoning_content", "thinking" or
//     "message_thinking", which goes between <think> and </think>
//   the gold as prompts have it, or "gtruth_answer" (open-source R1 trace collections).
// Throws UserError naming file and line for a row without question or answer.
Traces read_traces(const std::vector<std::filesystem::path>& files, const Tokenizer& tokenizer,
                   const ChatTemplate& chat, const PromptOptions& options);

}  // namespace temper
