// The text of the two files that write_tokenizer makes.
#pragma once

#include <string>
#include <vector>

#include "data/tokenizer_export.h"

namespace temper {

// A vocabulary made ready for tokenizer.json.
struct TokenizerText {
  std::vector<std::string> names;  // by id
  std::vector<TokenType> types;    // by id
  std::vector<std::string> merges;
};

// Throws UserError for a `pre` that is not known.
std::string tokenizer_json_text(const ForeignVocabulary& vocabulary, const TokenizerText& text);
std::string tokenizer_config_text(const ForeignVocabulary& vocabulary, const TokenizerText& text);

}  // namespace temper
