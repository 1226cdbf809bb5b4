// The rule `repetition`: a penalty for text that says the same again.
#pragma once

#include <cstdint>
#include <string_view>

#include "reward/registry.h"

namespace temper {

// value = -max over words and characters of  clamp((r - allowed) / (1 - allowed), 0, 1),
// where r = 1 - distinct n-grams / n-grams of the completion: of `words` words in small letters,
// and of `characters` characters with runs of white space as one (for text without spaces). A unit
// of 0 is left out; a text with fewer than 2 n-grams repeats nothing. ok at 0.
// Source: open-r1's repetition penalty, with characters added and an allowance.
RuleInfo repetition_rule();

// r of the text's n-grams of words or of characters.
double repeated_words(std::string_view text, int64_t n);
double repeated_characters(std::string_view text, int64_t n);

}  // namespace temper
