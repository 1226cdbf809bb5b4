// Added tokens: texts that are always one token, found before anything else is split.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/regex.h"
#include "data/aligned_text.h"
#include "data/flat_map.h"

namespace temper {

// One entry of `added_tokens` of a tokenizer.json.
struct AddedToken {
  int32_t id = -1;
  std::string content;
  bool special = false;      // left out of text that is meant for people
  bool normalized = false;   // looked for in the normalised text, not in the original
  bool lstrip = false;       // swallows the white space before it
  bool rstrip = false;       // swallows the white space behind it
  bool single_word = false;  // only where no letter or digit touches it
};

// Finds added tokens: of all that start first, the longest. Immutable after construction.
class AddedTokenFinder {
 public:
  // A part of the text: an added token, or (id < 0) what is between two of them.
  struct Part {
    TextRange range;
    int32_t id;
  };

  explicit AddedTokenFinder(std::vector<AddedToken> tokens = {});

  // Cuts `text` (valid UTF-8) into parts, none of them empty. With `parse_special` false, special
  // tokens are not looked for: their text is text.
  void split(std::string_view text, bool parse_special, Regex::Scratch& scratch,
             std::vector<Part>& parts) const;

 private:
  const AddedToken* longest_at(std::string_view text, size_t at) const;
  bool touches_word(std::string_view text, TextRange range, Regex::Scratch& scratch) const;

  std::vector<AddedToken> tokens_;
  FlatMap edges_;                  // (node, byte) -> node of the trie
  std::vector<int32_t> token_of_;  // by node: index into tokens_, -1 where none ends
  std::vector<bool> starts_;       // by byte: a token may start with it
  std::vector<Regex> word_;        // one word character; only where a token is single_word
};

}  // namespace temper
