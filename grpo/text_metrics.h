// What a completion's words and tokens say about how the model writes.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace temper {

// The share of a completion's n-grams of tokens that have occurred in it before; 0 if it has none.
double repetition_rate(std::span<const int32_t> ids, size_t n = 4);

// How many words of the completion are of those that DeepSeek-R1 counts as reflection: wait,
// mistake, however, but, retry, error, verify, wrong, evaluate, check.
// Source: DeepSeek-R1 (arXiv 2501.12948v2) appendix C.2, figure 9.
int64_t reflective_words(std::string_view text);

// The share of the text's words that are in another script than most of them; 0 without words.
double foreign_script_share(std::string_view text);

}  // namespace temper
