// The text of a growing completion, and whether a stop string has appeared in it.
#pragma once

#include <string>
#include <vector>

#include "data/streaming_decoder.h"

namespace temper {

class StopWatch {
 public:
  // What special tokens are in the text: rewards see what was written, people what was meant.
  enum class Special { shown, hidden };

  // The tokenizer must outlive the watch. Empty stop strings are passed over. Hidden are special
  // tokens that are no part of a stop string.
  StopWatch(const Tokenizer& tokenizer, std::vector<std::string> stop_strings,
            Special special = Special::shown);

  // Takes the next token; true once a stop string is in the text. Ids that end the completion
  // (stop ids) are not to be pushed: they are no part of its text.
  bool push(int32_t id);
  // No more tokens come: an unfinished character becomes U+FFFD.
  void finish();

  // The text so far, cut before the first stop string.
  const std::string& text() const { return text_; }
  // What was not taken yet and can no longer turn out to be part of a stop string.
  std::string take();

 private:
  bool add(const std::string& piece);
  bool hides(int32_t id) const;

  const Tokenizer& tokenizer_;
  Special special_;
  StreamingDecoder decoder_;
  std::vector<std::string> stops_;
  size_t longest_ = 0;  // bytes of the longest stop string
  std::string text_;
  size_t taken_ = 0;
  bool done_ = false;
};

}  // namespace temper
