// What the names and characters of mathematical notation mean.
#pragma once

#include <optional>
#include <string_view>

#include "reward/math/token.h"

namespace temper {

// What a name stands for. `text` is the token's text.
struct Notation {
  TokenKind kind = TokenKind::unknown;
  std::string_view text = {};
};

// The meaning of a LaTeX command's name ("dfrac", "leq", "{"); kind `end` for one that only spaces
// or sizes; nullopt for an unknown one.
std::optional<Notation> latex_command(std::string_view name);

// How many groups in braces follow the command that say nothing: one after \phantom, \hspace or
// \color; 0 for other commands.
int unseen_groups(std::string_view name);

// The meaning of a word in plain notation ("sqrt", "pi", "and"); nullopt for any other word.
std::optional<Notation> plain_word(std::string_view word);

// The meaning of the character (of one to four bytes) that `text` begins with; `length` is set to
// its bytes. A superscript digit gives kind `power` with the digit as text, a vulgar fraction kind
// `fraction` with the text "a/b", white space kind `end`; nullopt for any other.
std::optional<Notation> special_character(std::string_view text, size_t& length);

// The environments that are read as matrices: "pmatrix", "bmatrix", "array", ...
bool is_matrix_environment(std::string_view name);

}  // namespace temper
