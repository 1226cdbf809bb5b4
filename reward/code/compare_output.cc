#include "reward/code/compare_output.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "reward/text.h"

namespace temper {
namespace {

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// The first line of `rest`, without the white space at its end; `rest` keeps what follows it.
std::string_view take_line(std::string_view& rest) {
  const size_t end = std::min(rest.find('\n'), rest.size());
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  while (!line.empty() && is_space(line.back())) line.remove_suffix(1);
  return line;
}

// The first word of `rest`, or "" if there is none; `rest` keeps what follows it.
std::string_view take_word(std::string_view& rest) {
  while (!rest.empty() && is_space(rest.front())) rest.remove_prefix(1);
  size_t end = 0;
  while (end < rest.size() && !is_space(rest[end])) ++end;
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(end);
  return word;
}

struct Decimal {
  double value = 0.0;
  bool is_integer = true;  // written without a point and an exponent
};

// [+-] digits [. digits] [e [+-] digits], with a digit somewhere before the exponent; not what else
// strtod reads, like nan, inf and hexadecimal.
std::optional<Decimal> decimal_of(std::string_view word) {
  size_t at = 0, digits = 0;
  const auto skip_digits = [&] {
    const size_t start = at;
    while (at < word.size() && word[at] >= '0' && word[at] <= '9') ++at;
    return at - start;
  };
  const auto skip_sign = [&] {
    if (at < word.size() && (word[at] == '+' || word[at] == '-')) ++at;
  };
  Decimal number;
  skip_sign();
  digits = skip_digits();
  if (at < word.size() && word[at] == '.') {
    ++at;
    number.is_integer = false;
    digits += skip_digits();
  }
  if (digits == 0) return std::nullopt;
  if (at < word.size() && (word[at] == 'e' || word[at] == 'E')) {
    ++at;
    number.is_integer = false;
    skip_sign();
    if (skip_digits() == 0) return std::nullopt;
  }
  if (at != word.size()) return std::nullopt;
  number.value = std::strtod(std::string(word).c_str(), nullptr);
  return number;
}

bool same_word(std::string_view word, std::string_view expected, std::optional<double> tolerance) {
  if (word == expected) return true;
  if (!tolerance) return false;
  const auto wanted = decimal_of(expected), given = decimal_of(word);
  if (!wanted || wanted->is_integer || !given || !std::isfinite(wanted->value)) return false;
  return std::abs(given->value - wanted->value) <=
         *tolerance * std::max(1.0, std::abs(wanted->value));
}

bool same_words(std::string_view text, std::string_view expected, std::optional<double> tolerance) {
  for (;;) {
    const std::string_view word = take_word(text), wanted = take_word(expected);
    if (word.empty() && wanted.empty()) return true;
    if (word.empty() || wanted.empty() || !same_word(word, wanted, tolerance)) return false;
  }
}

// Without the white space at the end: empty lines there do not count.
std::string_view without_end(std::string_view text) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::optional<std::string> difference_of_lines(std::string_view output, std::string_view expected,
                                               std::optional<double> tolerance) {
  output = without_end(output);
  expected = without_end(expected);
  for (int64_t number = 1; !output.empty() || !expected.empty(); ++number) {
    const std::string where = "line " + std::to_string(number) + ": ";
    if (output.empty()) return where + "the output ends too early";
    if (expected.empty()) return where + "there is more output than expected";
    const std::string_view line = take_line(output), wanted = take_line(expected);
    const bool same = tolerance ? same_words(line, wanted, tolerance) : line == wanted;
    if (!same) return where + "'" + shortened(line, 40) + "', not '" + shortened(wanted, 40) + "'";
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> difference_of(std::string_view output, std::string_view expected,
                                         OutputComparison comparison,
                                         std::optional<double> tolerance) {
  if (comparison == OutputComparison::lines) {
    return difference_of_lines(output, expected, tolerance);
  }
  const bool same = comparison == OutputComparison::tokens ? same_words(output, expected, tolerance)
                                                           : output == expected;
  if (same) return std::nullopt;
  return "'" + shortened(trimmed(output), 40) + "', not '" + shortened(trimmed(expected), 40) + "'";
}

}  // namespace temper
