#include "reward/math/units.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <iterator>
#include <map>

namespace temper {
namespace {

struct Unit {
  std::string_view canonical;
  std::string_view spellings;  // with a space on both sides of each
};

constexpr Unit kUnits[] = {
    {"mm", " mm millimeter millimetre "},
    {"cm", " cm centimeter centimetre "},
    {"dm", " dm decimeter decimetre "},
    {"m", " m meter metre "},
    {"km", " km kilometer kilometre "},
    {"inch", " in inch inches "},
    {"ft", " ft foot feet "},
    {"yd", " yd yard "},
    {"mile", " mi mile "},
    {"mg", " mg milligram "},
    {"g", " g gram gramme "},
    {"kg", " kg kilogram kilo "},
    {"ton", " ton tonne "},
    {"lb", " lb lbs pound "},
    {"oz", " oz ounce "},
    {"ms", " ms millisecond "},
    {"s", " s sec second "},
    {"min", " min minute "},
    {"h", " h hr hour "},
    {"day", " day "},
    {"week", " week wk "},
    {"month", " month "},
    {"year", " year yr "},
    {"l", " l liter litre L "},
    {"ml", " ml milliliter millilitre mL "},
    {"gal", " gal gallon "},
    {"qt", " qt quart "},
    {"pt", " pt pint "},
    {"cup", " cup "},
    {"mph", " mph "},
    {"kph", " kph kmh "},
    {"N", " N newton "},
    {"J", " J joule "},
    {"W", " W watt "},
    {"kW", " kW kilowatt "},
    {"V", " V volt "},
    {"A", " A amp ampere "},
    {"Hz", " Hz hertz "},
    {"Pa", " Pa pascal "},
    {"K", " K kelvin "},
    {"C", " C celsius Celsius "},
    {"F", " F fahrenheit Fahrenheit "},
    {"mol", " mol mole "},
    {"rad", " rad radian "},
    {"$", " $ dollar USD usd buck "},
    {"cent", " cent penny pennies \xC2\xA2 "},
    {"\xE2\x82\xAC", " \xE2\x82\xAC euro EUR "},
    {"acre", " acre "},
    {"percent", " percent pct percentage "},
};

// "inches" -> "inche" would be wrong, so plurals are tried as -s and -es.
std::string_view find_unit(std::string_view word) {
  const auto listed = [](std::string_view spelling) -> std::string_view {
    const std::string padded = " " + std::string(spelling) + " ";
    for (const Unit& unit : kUnits) {
      if (unit.spellings.find(padded) != std::string_view::npos) return unit.canonical;
    }
    return {};
  };
  if (word.empty() || word.find(' ') != std::string_view::npos) return {};
  std::string_view found = listed(word);
  if (found.empty() && word.size() > 2 && word.back() == 's') {
    found = listed(word.substr(0, word.size() - 1));
  }
  if (found.empty() && word.size() > 2 && std::isupper(static_cast<unsigned char>(word[0])) != 0) {
    std::string lower(word);
    lower[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(lower[0])));
    return find_unit(lower);
  }
  return found;
}

}  // namespace

bool is_unit(std::string_view word) {
  return !find_unit(word).empty();
}

std::string canonical_unit(std::string_view word) {
  const std::string_view unit = find_unit(word);
  if (!unit.empty()) return std::string(unit);
  std::string noun(word);
  std::transform(noun.begin(), noun.end(), noun.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (noun.size() > 3 && noun.back() == 's') noun.pop_back();
  return noun;
}

std::string name_of_unit(std::vector<UnitFactor> factors) {
  const bool measure = std::all_of(factors.begin(), factors.end(),
                                   [](const UnitFactor& factor) { return factor.measure; });
  std::map<std::string, int> exponents;
  std::string words;
  for (const UnitFactor& factor : factors) {
    const auto add = [&](const std::string& name, int by) { exponents[name] += by; };
    if (factor.name == "mph" || factor.name == "kph") {
      add(factor.name == "mph" ? "mile" : "km", factor.exponent);
      add("h", -factor.exponent);
    } else {
      add(factor.name, factor.exponent);
    }
    if (!words.empty()) words += factor.exponent < 0 ? '/' : ' ';
    words += factor.name;
    const int size = std::abs(factor.exponent);
    if (size > 1) words += "^" + std::to_string(size);
  }
  if (words == "degree C" || words == "degree F") return "deg" + words.substr(7);
  if (!measure) return words;
  std::string product;
  for (const auto& [name, exponent] : exponents) {
    if (exponent == 0) continue;
    if (!product.empty()) product += ' ';
    product += name;
    if (exponent != 1) product += "^" + std::to_string(exponent);
  }
  return product;
}

long magnitude_of(std::string_view word) {
  constexpr std::pair<std::string_view, long> kMagnitudes[] = {
      {"dozen", 12},        {"hundred", 100},        {"thousand", 1000},         {"k", 1000},
      {"million", 1000000}, {"billion", 1000000000}, {"trillion", 1000000000000}};
  for (const auto& [name, value] : kMagnitudes) {
    if (word == name) return value;
  }
  return 0;
}

long number_of_words(std::string_view words) {
  constexpr std::string_view kSmall[] = {"zero",    "one",     "two",       "three",    "four",
                                         "five",    "six",     "seven",     "eight",    "nine",
                                         "ten",     "eleven",  "twelve",    "thirteen", "fourteen",
                                         "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
  constexpr std::string_view kTens[] = {"twenty", "thirty",  "forty",  "fifty",
                                        "sixty",  "seventy", "eighty", "ninety"};
  const auto place = [](const auto& names, std::string_view word) -> long {
    const auto at = std::find(std::begin(names), std::end(names), word);
    return at == std::end(names) ? -1 : at - std::begin(names);
  };
  if (const long small = place(kSmall, words); small >= 0) return small;
  const size_t joint = words.find_first_of("- ");
  const long tens = place(kTens, words.substr(0, joint));
  if (tens < 0) return -1;
  if (joint == std::string_view::npos) return 10 * (tens + 2);
  const long ones = place(kSmall, words.substr(joint + 1));
  return ones >= 1 && ones <= 9 ? 10 * (tens + 2) + ones : -1;
}

bool breaks_unit_phrase(std::string_view word) {
  constexpr std::string_view kWords[] = {
      "is",      "are",    "was",   "not",     "no",    "than",  "if",    "when", "where", "but",
      "then",    "so",     "else",  "does",    "for",   "which", "that",  "isn",  "aren",  "to",
      "or",      "and",    "plus",  "minus",   "times", "over",  "hence", "thus", "given", "with",
      "without", "except", "half",  "squared", "cubed", "minus", "one",   "two",  "three", "four",
      "five",    "six",    "seven", "eight",   "nine",  "ten"};
  return std::find(std::begin(kWords), std::end(kWords), word) != std::end(kWords);
}

}  // namespace temper
