// A conversation with an answer as a reward model reads it.
#pragma once

#include <string_view>
#include <vector>

#include "data/chat_template.h"
#include "data/sample.h"
#include "data/tokenizer.h"

namespace temper {

struct ScoredText {
  std::vector<int32_t> ids;
  int64_t answer_tokens = 0;  // of the answer as it was given, without its stop token
  bool cut = false;
};

// The prompt by the chat template, ready to be answered; the answer; the stop token, whose hidden
// state the head reads. What stands in an answer is text: a special token that it spells is spelt.
// Of more than `max_tokens` the prompt loses its beginning, down to a quarter of them, then the
// answer its end. Training and rule read the same way.
ScoredText scored_text(const Tokenizer& tokenizer, const ChatTemplate& chat,
                       const Conversation& prompt, std::string_view answer, int64_t max_tokens);

}  // namespace temper
