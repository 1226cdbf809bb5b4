#include "reward/language/letters.h"

#include <algorithm>
#include <array>

#include "core/utf8.h"

namespace temper {
namespace {

struct Range {
  char32_t first, last;
  Script script;
};

// Blocks of Unicode 15, in order; what lies between is punctuation or symbols.
constexpr std::array kRanges = {
    Range{'0', '9', Script::digit},
    Range{'A', 'Z', Script::latin},
    Range{'a', 'z', Script::latin},
    Range{0xAA, 0xAA, Script::latin},
    Range{0xBA, 0xBA, Script::latin},
    Range{0xC0, 0xD6, Script::latin},
    Range{0xD8, 0xF6, Script::latin},
    Range{0xF8, 0x24F, Script::latin},
    Range{0x250, 0x2AF, Script::latin},
    Range{0x300, 0x36F, Script::latin},  // combining accents
    Range{0x370, 0x3FF, Script::greek},
    Range{0x400, 0x52F, Script::cyrillic},
    Range{0x531, 0x587, Script::other},  // Armenian
    Range{0x591, 0x5F2, Script::hebrew},
    Range{0x610, 0x61A, Script::arabic},
    Range{0x620, 0x669, Script::arabic},
    Range{0x66E, 0x6D3, Script::arabic},
    Range{0x6D5, 0x6FF, Script::arabic},
    Range{0x750, 0x77F, Script::arabic},
    Range{0x900, 0x963, Script::devanagari},
    Range{0x966, 0x97F, Script::devanagari},
    Range{0x980, 0x9FF, Script::bengali},
    Range{0xA01, 0xA7F, Script::gurmukhi},
    Range{0xA81, 0xAFF, Script::gujarati},
    Range{0xB01, 0xB7F, Script::other},  // Oriya
    Range{0xB82, 0xBFF, Script::tamil},
    Range{0xC00, 0xC7F, Script::telugu},
    Range{0xC80, 0xCFF, Script::kannada},
    Range{0xD00, 0xD7F, Script::malayalam},
    Range{0xD80, 0xDFF, Script::other},  // Sinhala
    Range{0xE01, 0xE3A, Script::thai},
    Range{0xE40, 0xE4E, Script::thai},
    Range{0xE80, 0xEFF, Script::other},    // Lao
    Range{0x1000, 0x109F, Script::other},  // Myanmar
    Range{0x10A0, 0x10FF, Script::other},  // Georgian
    Range{0x1100, 0x11FF, Script::hangul},
    Range{0x1200, 0x137F, Script::other},  // Ethiopic
    Range{0x1780, 0x17FF, Script::other},  // Khmer
    Range{0x1E00, 0x1EFF, Script::latin},
    Range{0x1F00, 0x1FFF, Script::greek},
    Range{0x3005, 0x3007, Script::han},
    Range{0x3041, 0x30FF, Script::kana},
    Range{0x3130, 0x318F, Script::hangul},
    Range{0x3400, 0x4DBF, Script::han},
    Range{0x4E00, 0x9FFF, Script::han},
    Range{0xAC00, 0xD7AF, Script::hangul},
    Range{0xF900, 0xFAFF, Script::han},
    Range{0xFB50, 0xFDFF, Script::arabic},
    Range{0xFE70, 0xFEFC, Script::arabic},
    Range{0x20000, 0x323AF, Script::han},
};

// Latin Extended-A: capitals and small letters take turns; where the capital is odd, and odd ones.
bool odd_is_upper(char32_t code) {
  return (code >= 0x139 && code <= 0x148) || (code >= 0x179 && code <= 0x17E);
}
bool takes_turns(char32_t code) {
  return code >= 0x100 && code <= 0x17E && code != 0x130 && code != 0x131 && code != 0x138 &&
         code != 0x149 && code != 0x178;
}

bool is_one_character_word(Script script) {
  return script == Script::han || script == Script::kana;
}

}  // namespace

Script script_of(char32_t code) {
  const auto next = std::upper_bound(kRanges.begin(), kRanges.end(), code,
                                     [](char32_t c, const Range& r) { return c < r.first; });
  if (next == kRanges.begin()) return Script::none;
  const Range& range = *(next - 1);
  return code <= range.last ? range.script : Script::none;
}

char32_t lower_of(char32_t code) {
  if (code >= 'A' && code <= 'Z') return code + 32;
  if (code < 0xC0) return code;
  if (code <= 0xDE && code != 0xD7) return code + 32;
  if (code == 0x178) return 0xFF;
  if (takes_turns(code)) return (code % 2 == 1) == odd_is_upper(code) ? code + 1 : code;
  if (code >= 0x391 && code <= 0x3A9 && code != 0x3A2) return code + 32;
  if (code >= 0x410 && code <= 0x42F) return code + 32;
  if (code >= 0x400 && code <= 0x40F) return code + 80;
  if (code >= 0x1EA0 && code <= 0x1EFE && code % 2 == 0) return code + 1;  // Vietnamese
  return code;
}

bool is_upper(char32_t code) {
  return lower_of(code) != code;
}

bool is_lower(char32_t code) {
  return (code >= 'a' && code <= 'z') || (code >= 0xDF && code <= 0xFF && code != 0xF7) ||
         (takes_turns(code) && !is_upper(code)) || (code >= 0x3AC && code <= 0x3CE) ||
         (code >= 0x430 && code <= 0x45F) || (code >= 0x1EA1 && code <= 0x1EFF && code % 2 == 1);
}

std::u32string code_points(std::string_view text) {
  std::u32string codes;
  codes.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = read_utf8(text, at);
    codes += step.code;
    at += step.length;
  }
  return codes;
}

std::string lowered(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = read_utf8(text, at);
    append_utf8(result, lower_of(step.code));
    at += step.length;
  }
  return result;
}

std::vector<Word> words_of(std::string_view text) {
  std::vector<Word> words;
  size_t begin = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = read_utf8(text, at);
    const Script script = script_of(step.code);
    const bool alone = is_one_character_word(script);
    const bool part = (script != Script::none || step.code == '_') && !alone;
    if (part && !inside) {
      begin = at;
      words.push_back({{}, script == Script::none ? Script::digit : script});
    }
    at += step.length;
    inside = part;
    if (part) {
      words.back().text = text.substr(begin, at - begin);
      if (words.back().script == Script::digit && script != Script::none) {
        words.back().script = script;
      }
    } else if (alone) {
      words.push_back({text.substr(at - step.length, step.length), script});
    }
  }
  return words;
}

}  // namespace temper
