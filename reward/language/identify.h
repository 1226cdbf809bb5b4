// Which language a text is in, by script, telling letters and stop words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reward/language/letters.h"

namespace temper {

// A language that identify_language() knows: its ISO 639-1 code, its script and its commonest
// words in small letters (none where the script alone tells).
struct Language {
  std::string_view code;
  Script script;
  std::vector<std::string_view> words;
  std::u32string_view letters = {};  // that no other language of its script here writes
};

// All known languages.
const std::vector<Language>& known_languages();

// The known language of that code, or nullptr.
const Language* find_language(std::string_view code);

// How much the words speak for each of known_languages(): 2 a stop word or telling letter; only for
// languages of the commonest script of the words, of which one with no stop words gets 1 a word.
std::vector<int> language_votes(const std::vector<Word>& words);

// The code of the language most of `text` is in; "" where it cannot be told: no letters, an unknown
// script, or not one known word of a script that several languages share.
std::string_view identify_language(std::string_view text);
std::string_view identify_language(const std::vector<Word>& words);

}  // namespace temper
