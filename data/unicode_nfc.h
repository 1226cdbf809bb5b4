// Unicode normal form C.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "data/aligned_text.h"

namespace temper {

// Brings text into NFC. Immutable after construction.
// Source: Unicode Standard Annex 15; The Unicode Standard 3.11 and 3.12 (Hangul).
class Nfc {
 public:
  Nfc();

  // Replaces the text, which must be valid UTF-8, by its NFC. Text without characters from U+0300
  // up, the common case, is left alone after one look at its bytes.
  void apply(AlignedText& text) const;

 private:
  struct Character {
    char32_t code;
    int combining;
    uint32_t at;  // where it came from in the source text
  };

  static void decompose(char32_t code, uint32_t at, std::vector<Character>& out);
  static void order_marks(std::vector<Character>& text);
  void compose(std::vector<Character>& text) const;
  char32_t composite(char32_t first, char32_t second) const;

  std::vector<std::pair<uint64_t, int32_t>> pairs_;  // sorted: (first, second) -> composite
};

}  // namespace temper
