// UTF-8 by hand: reading code points, finding mistakes, repairing them as decoders do.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace temper {

// One step of a UTF-8 reader: `length` bytes make `code`, or are wrong (`valid` false: the longest
// prefix of a well-formed sequence, at least one byte, which a repair replaces as a whole).
struct Utf8Step {
  char32_t code = 0xFFFD;
  uint32_t length = 1;
  bool valid = false;
  bool cut_short = false;  // wrong only because the text ends here: more bytes could mend it
};

// Reads the character at `at` < text.size().
// Source: Unicode 15, table 3-7 (well-formed byte sequences).
Utf8Step read_utf8(std::string_view text, size_t at);

// Appends the code point's bytes.
void append_utf8(std::string& text, char32_t code);

// The offset of the first byte that is not well-formed UTF-8, or npos.
size_t find_invalid_utf8(std::string_view text);

// Each ill-formed part replaced by U+FFFD, as Unicode 15 section 3.9 recommends.
std::string repair_utf8(std::string_view text);

// Whether the code point has the property White_Space.
bool is_unicode_space(char32_t code);

}  // namespace temper
