// Cutting a text into sentences and paragraphs.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace temper {

// Sentences that end in . ! ? or their wide forms, with quotes and brackets after them, before
// white space or the end. A full stop does not end one after an initial, a common abbreviation, or
// before a small letter. What is left at the end is a sentence if it holds a letter or digit.
int64_t count_sentences(std::string_view text);

// The parts between matches of `mark`, white space at their ends taken off.
std::vector<std::string_view> split_trimmed(std::string_view text, std::string_view mark);

}  // namespace temper
