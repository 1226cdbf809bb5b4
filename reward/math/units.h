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

// One word of a unit: "s" to the power -2 in "m/s^2".
struct UnitFactor {
  std::string name;  // canonical
  int exponent = 1;
  bool measure = false;  // a unit of measure, not a noun
};

// The canonical name of the unit that the words make: where all are units of measure, their product
// in one order, so that "mph" and "miles per hour" are the same; else the words as they come.
std::string name_of_unit(std::vector<UnitFactor> factors);

// What a word multiplies the number before it by: 1000 for "thousand"; 0 for other words.
long magnitude_of(std::string_view word);

// The number that the words say, "five" or "twenty-one", below a hundred; -1 for any others.
long number_of_words(std::string_view words);

// Whether the word may not stand in the phrase after a value: verbs and connectives.
bool breaks_unit_phrase(std::string_view word);

}  // namespace temper
