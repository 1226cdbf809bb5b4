// Units of measure and the nouns that answers end with.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace temper {

// Whether the word is a unit of measure, singular or plural, short or long.
bool is_unit(std::string_view word);

// The canonical form of one word of a unit: "centimeters" and "cm" give "cm"; a noun that is no
// unit of measure loses its plural's s and its capitals.
std::string canonical_unit(std::string_view word);

// What a word multiplies the number before it by: 1000 for "thousand"; 0 for other words.
long magnitude_of(std::string_view word);

// Whether the word may not stand in the phrase after a value: verbs and connectives.
bool breaks_unit_phrase(std::string_view word);

}  // namespace temper
