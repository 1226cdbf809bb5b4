#include "reward/ifeval/sentences.h"

#include <algorithm>
#include <array>

#include "core/utf8.h"
#include "reward/language/letters.h"
#include "reward/text.h"

namespace temper {
namespace {

constexpr std::array<std::u32string_view, 24> kAbbreviations = {
    U"mr",  U"mrs", U"ms", U"dr",   U"prof", U"st", U"jr",  U"sr",  U"vs",  U"etc", U"e.g", U"i.e",
    U"inc", U"ltd", U"no", U"dept", U"fig",  U"co", U"gen", U"rev", U"col", U"a.m", U"p.m", U"u.s"};

bool is_end_mark(char32_t c) {
  return c == '.' || c == '!' || c == '?' || c == U'。' || c == U'！' || c == U'？' || c == U'…' ||
         c == U'।' || c == U'۔' || c == U'؟';
}
bool is_wide_mark(char32_t c) {
  return c == U'。' || c == U'！' || c == U'？';
}
bool is_closing(char32_t c) {
  return c == '"' || c == '\'' || c == ')' || c == ']' || c == U'”' || c == U'’' || c == '*' ||
         c == U'」' || c == U'»';
}
bool is_word_part(char32_t c) {
  return script_of(c) != Script::none;
}

// Whether the full stop at `stop` belongs to the word before it.
bool is_abbreviation(const std::u32string& text, size_t stop) {
  size_t begin = stop;
  while (begin > 0 && (is_word_part(text[begin - 1]) || text[begin - 1] == '.')) --begin;
  std::u32string word = text.substr(begin, stop - begin);
  const bool initial = word.size() == 1 && is_upper(word.front()) && word != U"I";
  for (char32_t& c : word) c = lower_of(c);
  return initial ||
         std::find(kAbbreviations.begin(), kAbbreviations.end(), word) != kAbbreviations.end();
}

}  // namespace

int64_t count_sentences(std::string_view utf8) {
  const std::u32string text = code_points(utf8);
  int64_t count = 0;
  bool words = false;  // since the last sentence ended
  for (size_t i = 0; i < text.size(); ++i) {
    if (is_word_part(text[i])) words = true;
    if (!is_end_mark(text[i]) || !words) continue;
    size_t end = i;
    while (end + 1 < text.size() && is_end_mark(text[end + 1])) ++end;
    const bool one_stop = text[i] == '.' && end == i;
    const bool wide = is_wide_mark(text[end]);
    while (end + 1 < text.size() && is_closing(text[end + 1])) ++end;
    if (end + 1 < text.size() && !wide && !is_unicode_space(text[end + 1])) continue;
    size_t next = end + 1;
    while (next < text.size() && is_unicode_space(text[next])) ++next;
    const bool goes_on = next < text.size() && is_lower(text[next]);
    if (one_stop && next < text.size() && (goes_on || is_abbreviation(text, i))) continue;
    ++count;
    words = false;
    i = end;
  }
  return count + (words ? 1 : 0);
}

std::vector<std::string_view> split_trimmed(std::string_view text, std::string_view mark) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t at = text.find(mark);
    parts.push_back(trimmed(text.substr(0, at)));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + mark.size());
  }
}

}  // namespace temper
