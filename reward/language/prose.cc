#include "reward/language/prose.h"

#include <algorithm>
#include <array>

namespace temper {
namespace {

struct Fence {
  std::string_view open, close;
};

constexpr std::array kFences = {Fence{"```", "```"}, Fence{"`", "`"},     Fence{"$$", "$$"},
                                Fence{"$", "$"},     Fence{"\\(", "\\)"}, Fence{"\\[", "\\]"}};

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Bytes of the piece at the front of `rest` that is no prose; 0 if there is none.
size_t piece_without_words(std::string_view rest) {
  for (const Fence& fence : kFences) {
    if (!rest.starts_with(fence.open)) continue;
    const size_t paragraph = std::min(rest.find("\n\n"), rest.size());
    const size_t close = rest.find(fence.close, fence.open.size());
    const bool code = fence.open == "```";  // may hold empty lines
    if (close != std::string_view::npos && (code || close < paragraph)) {
      return close + fence.close.size();
    }
    return code ? paragraph : fence.open.size();
  }
  if (rest.front() == '\\' && rest.size() > 1 && is_letter(rest[1])) {
    return static_cast<size_t>(std::find_if_not(rest.begin() + 1, rest.end(), is_letter) -
                               rest.begin());
  }
  if (rest.front() == '<') {
    const size_t end = rest.substr(0, 64).find('>');
    return end == std::string_view::npos ? 0 : end + 1;
  }
  if (rest.starts_with("http://") || rest.starts_with("https://")) {
    return std::min(rest.find_first_of(" \n\t)"), rest.size());
  }
  return 0;
}

}  // namespace

std::string prose_of(std::string_view text) {
  std::string prose;
  while (!text.empty()) {
    const size_t skipped = piece_without_words(text);
    prose += skipped > 0 ? ' ' : text.front();
    text.remove_prefix(std::max<size_t>(1, skipped));
  }
  return prose;
}

}  // namespace temper
