#include "data/unicode_nfc.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "core/utf8.h"
#include "data/unicode_nfc_table.h"

namespace temper {
namespace {

// Source: The Unicode Standard 3.12.
constexpr char32_t kSyllables = 0xAC00, kLeads = 0x1100, kVowels = 0x1161, kTails = 0x11A7;
constexpr char32_t kVowelCount = 21, kTailCount = 28, kSyllableCount = 11172, kLeadCount = 19;

int combining_class(char32_t code) {
  size_t low = 0, high = kCombiningRangeCount;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (static_cast<char32_t>(kCombiningRanges[3 * middle + 1]) < code) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const bool inside =
      low < kCombiningRangeCount && static_cast<char32_t>(kCombiningRanges[3 * low]) <= code;
  return inside ? kCombiningRanges[3 * low + 2] : 0;
}

// The triple of `code`, or nullptr.
const int32_t* decomposition_of(char32_t code) {
  size_t low = 0, high = kDecompositionCount;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (static_cast<char32_t>(kDecompositions[3 * middle]) < code) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const int32_t* triple = kDecompositions + 3 * low;
  return low < kDecompositionCount && static_cast<char32_t>(*triple) == code ? triple : nullptr;
}

uint64_t pair_key(char32_t first, char32_t second) {
  return (static_cast<uint64_t>(first) << 32) | second;
}

}  // namespace

Nfc::Nfc() {
  for (size_t i = 0; i < kDecompositionCount; ++i) {
    const int32_t* triple = kDecompositions + 3 * i;
    if (triple[2] <= 0) continue;
    pairs_.push_back(
        {pair_key(static_cast<char32_t>(triple[1]), static_cast<char32_t>(triple[2])), triple[0]});
  }
  std::sort(pairs_.begin(), pairs_.end());
}

char32_t Nfc::composite(char32_t first, char32_t second) const {
  if (first >= kLeads && first < kLeads + kLeadCount && second >= kVowels &&
      second < kVowels + kVowelCount) {
    return kSyllables + ((first - kLeads) * kVowelCount + second - kVowels) * kTailCount;
  }
  if (first >= kSyllables && first < kSyllables + kSyllableCount &&
      (first - kSyllables) % kTailCount == 0 && second > kTails && second < kTails + kTailCount) {
    return first + second - kTails;
  }
  const uint64_t wanted = pair_key(first, second);
  const auto place = std::lower_bound(pairs_.begin(), pairs_.end(), std::pair(wanted, 0));
  return place != pairs_.end() && place->first == wanted ? static_cast<char32_t>(place->second) : 0;
}

void Nfc::decompose(char32_t code, uint32_t at, std::vector<Character>& out) {
  if (code >= kSyllables && code < kSyllables + kSyllableCount) {
    const char32_t index = code - kSyllables;
    out.push_back({kLeads + index / (kVowelCount * kTailCount), 0, at});
    out.push_back({kVowels + index / kTailCount % kVowelCount, 0, at});
    if (index % kTailCount != 0) out.push_back({kTails + index % kTailCount, 0, at});
    return;
  }
  const int32_t* triple = decomposition_of(code);
  if (triple == nullptr) {
    out.push_back({code, combining_class(code), at});
    return;
  }
  decompose(static_cast<char32_t>(triple[1]), at, out);
  if (triple[2] != 0) decompose(static_cast<char32_t>(std::abs(triple[2])), at, out);
}

void Nfc::order_marks(std::vector<Character>& text) {
  for (size_t begin = 0; begin < text.size();) {
    if (text[begin].combining == 0) {
      ++begin;
      continue;
    }
    size_t end = begin;
    while (end < text.size() && text[end].combining != 0) ++end;
    std::stable_sort(
        text.begin() + static_cast<std::ptrdiff_t>(begin),
        text.begin() + static_cast<std::ptrdiff_t>(end),
        [](const Character& a, const Character& b) { return a.combining < b.combining; });
    begin = end;
  }
}

void Nfc::compose(std::vector<Character>& text) const {
  size_t out = 0, starter = text.size();  // none yet
  int last = -1;                          // combining class before the current character
  for (size_t i = 0; i < text.size(); ++i) {
    const Character c = text[i];
    if (starter < text.size() && last < c.combining) {
      if (const char32_t whole = composite(text[starter].code, c.code)) {
        text[starter].code = whole;
        continue;
      }
    }
    if (c.combining == 0) {
      starter = out;
      last = -1;
    } else {
      last = c.combining;
    }
    text[out++] = c;
  }
  text.resize(out);
}

void Nfc::apply(AlignedText& text) const {
  // The first character that NFC can touch is U+0300, whose first byte is 0xCC.
  const auto touched = [](char c) { return static_cast<unsigned char>(c) >= 0xCC; };
  if (std::none_of(text.text.begin(), text.text.end(), touched)) return;
  std::vector<Character> characters;
  for (size_t at = 0; at < text.text.size();) {
    const Utf8Step step = read_utf8(text.text, at);
    decompose(step.code, static_cast<uint32_t>(at), characters);
    at += step.length;
  }
  order_marks(characters);
  compose(characters);
  AlignedBuilder builder(text);
  std::string bytes;
  for (const Character& c : characters) {
    bytes.clear();
    append_utf8(bytes, c.code);
    builder.put(bytes, c.at);
  }
  text = builder.finish();
}

}  // namespace temper
