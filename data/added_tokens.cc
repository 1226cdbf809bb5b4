#include "data/added_tokens.h"

#include <utility>

#include "core/utf8.h"

namespace temper {
namespace {

uint64_t edge(uint64_t node, char byte) {
  return (node << 8) | static_cast<unsigned char>(byte);
}

size_t spaces_behind(std::string_view text, size_t at) {
  while (at < text.size()) {
    const Utf8Step step = read_utf8(text, at);
    if (!is_unicode_space(step.code)) break;
    at += step.length;
  }
  return at;
}

size_t character_before(std::string_view text, size_t at) {
  --at;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

size_t spaces_before(std::string_view text, size_t at, size_t limit) {
  while (at > limit) {
    const size_t before = character_before(text, at);
    if (!is_unicode_space(read_utf8(text, before).code)) break;
    at = before;
  }
  return at;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens)
    : tokens_(std::move(tokens)), token_of_{-1}, starts_(256, false) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const AddedToken& token = tokens_[i];
    if (token.content.empty()) continue;
    uint64_t node = 0;
    for (const char byte : token.content) {
      if (const uint64_t* next = edges_.find(edge(node, byte))) {
        node = *next;
      } else {
        edges_.set(edge(node, byte), token_of_.size());
        node = token_of_.size();
        token_of_.push_back(-1);
      }
    }
    token_of_[node] = static_cast<int32_t>(i);
    starts_[static_cast<unsigned char>(token.content[0])] = true;
    if (token.single_word && word_.empty()) {
      word_.emplace_back("[\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}]", "single_word");
    }
  }
}

const AddedToken* AddedTokenFinder::longest_at(std::string_view text, size_t at) const {
  if (!starts_[static_cast<unsigned char>(text[at])]) return nullptr;
  const AddedToken* longest = nullptr;
  uint64_t node = 0;
  for (; at < text.size(); ++at) {
    const uint64_t* next = edges_.find(edge(node, text[at]));
    if (next == nullptr) break;
    node = *next;
    if (token_of_[node] >= 0) longest = &tokens_[static_cast<size_t>(token_of_[node])];
  }
  return longest;
}

bool AddedTokenFinder::touches_word(std::string_view text, TextRange range,
                                    Regex::Scratch& scratch) const {
  Regex::Match match;
  const auto is_word = [&](size_t at) {
    const std::string_view character = text.substr(at, read_utf8(text, at).length);
    return word_[0].find(character, 0, scratch, match);
  };
  return (range.begin > 0 && is_word(character_before(text, range.begin))) ||
         (range.end < text.size() && is_word(range.end));
}

void AddedTokenFinder::split(std::string_view text, bool parse_special, Regex::Scratch& scratch,
                             std::vector<Part>& parts) const {
  parts.clear();
  const auto place = [](size_t begin, size_t end) {
    return TextRange{static_cast<uint32_t>(begin), static_cast<uint32_t>(end)};
  };
  size_t done = 0;
  for (size_t at = 0; at < text.size() && !tokens_.empty();) {
    const AddedToken* token = longest_at(text, at);
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + token->content.size();
    at = end;
    if (token->special && !parse_special) continue;
    if (token->single_word && touches_word(text, place(begin, end), scratch)) continue;
    if (token->lstrip) begin = spaces_before(text, begin, done);
    if (token->rstrip) at = end = spaces_behind(text, end);
    if (done < begin) parts.push_back({place(done, begin), -1});
    parts.push_back({place(begin, end), token->id});
    done = end;
  }
  if (done < text.size()) parts.push_back({place(done, text.size()), -1});
}

}  // namespace temper
