#include "reward/text.h"

#include <cstring>

namespace temper {
namespace {

// Whether the three bytes are a character that shows nothing: U+2000..U+200D, U+2028, U+2029,
// U+202F, U+3000, U+FEFF.
bool is_wide_space(std::string_view c) {
  if (c == "\xE3\x80\x80" || c == "\xEF\xBB\xBF") return true;
  if (!c.starts_with("\xE2\x80")) return false;
  const auto last = static_cast<unsigned char>(c[2]);
  return (last >= 0x80 && last <= 0x8D) || last == 0xA8 || last == 0xA9 || last == 0xAF;
}

bool is_ascii_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

size_t trailing_space(std::string_view text) {
  if (!text.empty() && is_ascii_space(text.back())) return 1;
  if (text.ends_with("\xC2\xA0")) return 2;
  return text.size() >= 3 && is_wide_space(text.substr(text.size() - 3)) ? 3 : 0;
}

}  // namespace

size_t leading_space(std::string_view text) {
  if (!text.empty() && is_ascii_space(text.front())) return 1;
  if (text.starts_with("\xC2\xA0")) return 2;
  return text.size() >= 3 && is_wide_space(text.substr(0, 3)) ? 3 : 0;
}

std::string_view trimmed(std::string_view text) {
  while (const size_t n = leading_space(text)) text.remove_prefix(n);
  while (const size_t n = trailing_space(text)) text.remove_suffix(n);
  return text;
}

size_t count_of(std::string_view text, std::string_view piece) {
  size_t count = 0;
  for (size_t at = text.find(piece); at != std::string_view::npos;
       at = text.find(piece, at + piece.size())) {
    ++count;
  }
  return count;
}

std::string_view after_thinking(std::string_view completion) {
  constexpr std::string_view kOpen = "<think>", kClose = "</think>";
  constexpr size_t kWindow = 16 << 10;
  std::string_view tail = completion;
  if (tail.size() > kWindow) tail.remove_prefix(tail.size() - kWindow);
  const size_t at = tail.rfind(kClose);
  if (at != std::string_view::npos) return tail.substr(at + kClose.size());
  const bool thinks = trimmed(completion.substr(0, 4096)).starts_with(kOpen);
  const bool closed =
      tail.size() < completion.size() &&
      memmem(completion.data(), completion.size(), kClose.data(), kClose.size()) != nullptr;
  return thinks && !closed ? std::string_view() : tail;
}

std::string_view final_part(std::string_view completion) {
  constexpr std::string_view kOpen = "<think>", kClose = "</think>";
  const size_t at = completion.rfind(kClose);
  if (at != std::string_view::npos) return completion.substr(at + kClose.size());
  return trimmed(completion).starts_with(kOpen) ? std::string_view() : completion;
}

std::string_view thinking_part(std::string_view completion) {
  constexpr std::string_view kOpen = "<think>", kClose = "</think>";
  std::string_view part = trimmed(completion.substr(0, completion.rfind(kClose)));
  if (part.starts_with(kOpen)) part.remove_prefix(kOpen.size());
  return trimmed(part);
}

bool thinks_without_end(std::string_view prompt, std::string_view completion) {
  constexpr std::string_view kClose = "</think>";
  return trimmed(prompt).ends_with("<think>") &&
         memmem(completion.data(), completion.size(), kClose.data(), kClose.size()) == nullptr;
}

std::string shortened(std::string_view text, size_t limit) {
  if (text.size() <= limit) return std::string(text);
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
  return std::string(text.substr(0, limit)) + "...";
}

std::optional<std::string_view> only_answer(std::string_view text, std::string& reason) {
  constexpr std::string_view kOpen = "<answer>", kClose = "</answer>";
  const size_t open = text.find(kOpen), close = text.find(kClose);
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) {
    reason = "no <answer>...</answer> in the final part";
    return std::nullopt;
  }
  if (count_of(text, kOpen) != 1 || count_of(text, kClose) != 1) {
    reason = "more than one answer";
    return std::nullopt;
  }
  const size_t begin = open + kOpen.size();
  return trimmed(text.substr(begin, close - begin));
}

std::optional<std::string_view> answer_of(std::string_view prompt, std::string_view completion,
                                          std::string& reason) {
  if (thinks_without_end(prompt, completion)) {
    reason = "the thinking is not closed";
    return std::nullopt;
  }
  std::string_view text = trimmed(final_part(completion));
  const bool tags = text.find("<answer>") != std::string_view::npos ||
                    text.find("</answer>") != std::string_view::npos;
  if (tags) {
    const auto inside = only_answer(text, reason);
    if (!inside) return std::nullopt;
    text = *inside;
  }
  if (!text.empty()) return text;
  reason = tags ? "the answer is empty" : "no final part";
  return std::nullopt;
}

std::string with_single_spaces(std::string_view text) {
  std::string result;
  text = trimmed(text);
  while (!text.empty()) {
    if (const size_t n = leading_space(text)) {
      if (result.back() != ' ') result += ' ';
      text.remove_prefix(n);
    } else {
      result += text.front();
      text.remove_prefix(1);
    }
  }
  return result;
}

}  // namespace temper
