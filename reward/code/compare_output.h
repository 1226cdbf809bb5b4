// Whether a program's whole output is the expected one.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace temper {

enum class OutputComparison {
  exact,   // byte by byte
  lines,   // as many lines, each the same but for white space at its end; empty lines at the end of
           // the output do not count
  tokens,  // the same words in the same order, however they are spaced and broken into lines
};

// nullopt if `output` is as expected, else a clause that says where it first differs. With a
// tolerance t, a word that is a decimal number with a point or an exponent in `expected` allows any
// decimal number x with |x - expected| <= t max(1, |expected|); lines then compare word by word.
std::optional<std::string> difference_of(std::string_view output, std::string_view expected,
                                         OutputComparison comparison,
                                         std::optional<double> tolerance);

}  // namespace temper
