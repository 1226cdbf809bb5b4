// Cutting an answer in LaTeX or plain notation into tokens. One meaning has one token, whatever its
// spelling: \dfrac and \frac, \leq and U+2264, \left( and (, U+00D7 and *.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace temper {

enum class TokenKind : uint8_t {
  number,    // text: digits with at most one point, perhaps an exponent ("1.5e-7")
  symbol,    // text: one letter or the name of a Greek letter
  word,      // text: letters; a unit, a connective or prose
  function,  // text: "sin", "log", "sqrt", ...
  constant,  // text: "pi"
  infinity,
  fraction,  // \frac
  binomial,  // \binom
  overline,  // \overline, \vec and other decorations; text names them
  font,      // \mathbb and the like; the argument keeps its meaning, text names it
  plus,
  minus,
  times,
  divide,
  plus_minus,
  minus_plus,
  power,
  subscript,
  factorial,
  prime,
  percent,
  degree,
  currency,  // text: "$", ...
  comma,
  semicolon,
  colon,
  bar,
  open_group,  // {
  close_group,
  open_paren,
  close_paren,
  open_bracket,
  close_bracket,
  open_brace,  // \{
  close_brace,
  open_angle,
  close_angle,
  open_floor,
  close_floor,
  open_ceiling,
  close_ceiling,
  begin_matrix,  // \begin{pmatrix}; text: "pmatrix"
  end_matrix,
  column_break,  // &
  row_break,     // two backslashes
  relation,      // text: "=", "!=", "<", "<=", ">", ">=", "~" (approximately)
  element_of,
  unite,
  intersect,
  set_minus,
  empty_set,
  number_set,   // text: "R", "Q", "Z", "N", "C"
  conjunction,  // "and", "or"; text says which
  unknown,      // anything else: such an answer is read as text
  end,
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::string text = {};
  bool space_before = false;
  bool in_text = false;  // from inside \text{...} or \mathrm{...}
};

// What a comma between digits means.
enum class CommaMode : uint8_t {
  grouping,    // 1,234 is a number outside brackets; elsewhere commas separate
  separating,  // commas always separate
  decimal,     // 3,14 is 3.14 outside brackets
};

// The tokens of `text`, ended by one of kind `end`; nullopt if there are more than `limit`.
std::optional<std::vector<Token>> tokenize_math(std::string_view text, CommaMode commas,
                                                size_t limit);

}  // namespace temper
