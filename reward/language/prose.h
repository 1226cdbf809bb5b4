// The part of a text that is written in words.
#pragma once

#include <string>
#include <string_view>

namespace temper {

// `text` with a space in place of what is in no human language: fenced and `inline` code, TeX
// between $ $, $$ $$, \( \) and \[ \], TeX commands, tags and addresses. A formula or code that is
// never closed ends with its paragraph.
std::string prose_of(std::string_view text);

}  // namespace temper
