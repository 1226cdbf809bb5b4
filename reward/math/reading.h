// From the text of an answer to what it says: a tree if it is mathematics as a whole, else words.
#pragma once

#include <string>
#include <string_view>

#include "reward/math/node.h"
#include "reward/math/token.h"

namespace temper {

struct Reading {
  NodePtr tree;       // nullptr: no formula as a whole
  std::string words;  // the text without markup, for answers in words
  bool too_large = false;
};

// Reads the whole of `text`, or nothing of it: a formula that fails to parse is never replaced by a
// part of it. Labels in words before '=' ("Area = 5") are dropped, plus-minus is written out as the
// two values.
Reading read_math_answer(std::string_view text, CommaMode commas);

// The text without math delimiters, \text and other markup, with single spaces, without a final
// full stop.
std::string plain_words(std::string_view text);

}  // namespace temper
