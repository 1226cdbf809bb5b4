// Formulas between delimiters in running text, and groups of them that make one answer.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace temper {

// A formula in a text: $...$, $$...$$, \(...\) or \[...\], with and without its delimiters.
struct FormulaSpan {
  size_t begin = 0, end = 0;
  size_t inner_begin = 0, inner_end = 0;
};

// The formulas of the text in order. A dollar before an amount of money opens none.
std::vector<FormulaSpan> find_formulas(std::string_view text);

// Whether the text holds nothing but what joins the parts of one answer: spaces, commas, "and",
// "or", dollars.
bool only_joins(std::string_view text);

// Whether what stands between two boxes joins them to one answer: as above, and "papers and", or a
// name before the second: ", y =".
bool joins_boxes(std::string_view text);

// Whether the text is a product of letters with a power among them: "x^3", "a^{4}b^2".
bool is_monomial(std::string_view text);

// The answer that the formula numbered `last` ends: it, the formulas before it that are joined to
// it, and up to four words of a unit after it, if the sentence ends with them.
std::string_view formula_group(std::string_view text, const std::vector<FormulaSpan>& formulas,
                               size_t last);

// The same for the group that the formula numbered `first` begins.
std::string_view formula_group_from(std::string_view text, const std::vector<FormulaSpan>& formulas,
                                    size_t first);

}  // namespace temper
