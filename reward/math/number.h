// Reading a number exactly, as a rational.
#pragma once

#include <gmpxx.h>

#include <optional>
#include <string_view>

namespace temper {

// The exact value of the whole text: an integer or decimal with an optional sign, thousands
// separators (groups of three, from the second on), a fraction a/b or \frac{a}{b}, a percent sign
// (divides by 100), a leading currency sign and a trailing unit in words or \text{...} (both
// dropped). nullopt if the text is anything else, or longer than 200 bytes.
std::optional<mpq_class> parse_number(std::string_view text);

}  // namespace temper
