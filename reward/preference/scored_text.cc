#include "reward/preference/scored_text.h"

#include <algorithm>

namespace temper {
namespace {

std::vector<int32_t> prompt_ids(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                const Conversation& prompt) {
  return encode_segments(tokenizer, chat.render(prompt, {.add_generation_prompt = true})).ids;
}

}  // namespace

ScoredText scored_text(const Tokenizer& tokenizer, const ChatTemplate& chat,
                       const Conversation& prompt, std::string_view answer, int64_t max_tokens) {
  ScoredText out;
  out.ids = prompt_ids(tokenizer, chat, prompt);
  std::vector<int32_t> words = tokenizer.encode(answer, {.parse_special = false});
  const std::vector<int32_t> stop = tokenizer.encode(chat.stop_text());
  out.answer_tokens = static_cast<int64_t>(words.size());

  const auto most = static_cast<size_t>(max_tokens);
  const size_t whole = out.ids.size() + words.size() + stop.size();
  out.cut = whole > most;
  if (out.cut) {
    const size_t kept = std::max(most / 4, most - std::min(most, words.size() + stop.size()));
    if (out.ids.size() > kept)
      out.ids.erase(out.ids.begin(), out.ids.end() - static_cast<std::ptrdiff_t>(kept));
    const size_t room = most - std::min(most, out.ids.size() + stop.size());
    words.resize(std::min(words.size(), room));
  }
  out.ids.insert(out.ids.end(), words.begin(), words.end());
  out.ids.insert(out.ids.end(), stop.begin(), stop.end());
  return out;
}

}  // namespace temper
