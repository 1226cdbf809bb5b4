// What a code point is for a rule that counts words: its script and its case.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace temper {

enum class Script : uint8_t {
  none,  // no letter: punctuation, symbols, space
  digit,
  latin,
  greek,
  cyrillic,
  hebrew,
  arabic,
  devanagari,
  bengali,
  gurmukhi,
  gujarati,
  tamil,
  telugu,
  kannada,
  malayalam,
  thai,
  hangul,
  kana,
  han,
  other,  // a letter of another script
};

// The script of a letter or of a mark that belongs to one.
Script script_of(char32_t code);

// The small letter of a capital of Latin (to U+017F), Greek or Cyrillic; any other code as it is.
char32_t lower_of(char32_t code);
bool is_upper(char32_t code);  // a capital of those
bool is_lower(char32_t code);  // a small letter of those

// `text` with lower_of each code point; ill-formed bytes become U+FFFD.
std::string lowered(std::string_view text);

// The code points of `text`; ill-formed bytes become U+FFFD.
std::u32string code_points(std::string_view text);

// A run of letters, digits, marks and '_'. Scripts without spaces between words (Han, kana) give a
// word a character; Thai gives a word a run.
struct Word {
  std::string_view text;
  Script script = Script::none;  // of its first letter; digit if it has none
};
std::vector<Word> words_of(std::string_view text);

}  // namespace temper
