// Text of a growing list of tokens, a whole character at a time.
#pragma once

#include <cstdint>
#include <string>

#include "data/tokenizer.h"

namespace temper {

struct StreamingOptions {
  bool skip_special = true;   // special tokens give no text
  bool at_text_start = true;  // false where the tokens continue a prompt: its blanks then stay
};

// The pieces that push() and finish() return make, put together, what Tokenizer::decode gives;
// none of them ends inside a character. The tokenizer must outlive the decoder.
class StreamingDecoder {
 public:
  explicit StreamingDecoder(const Tokenizer& tokenizer, StreamingOptions options = {});

  // Takes the next token; returns the text that is now certain, often of earlier tokens too.
  std::string push(int32_t id);
  // Returns what is left at the end: an unfinished character becomes U+FFFD.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  StreamingOptions options_;
  std::string pending_;  // the bytes of an unfinished character
  bool strip_;           // a blank at the start is still to be dropped
};

}  // namespace temper
