#include "data/streaming_decoder.h"

#include "core/utf8.h"

namespace temper {

StreamingDecoder::StreamingDecoder(const Tokenizer& tokenizer, StreamingOptions options)
    : tokenizer_(tokenizer),
      options_(options),
      strip_(options.at_text_start && tokenizer.strips_leading_blank()) {}

std::string StreamingDecoder::push(int32_t id) {
  if (options_.skip_special && tokenizer_.is_special(id)) return "";
  pending_ += tokenizer_.bytes(id);
  if (strip_ && !pending_.empty()) {
    if (pending_[0] == ' ') pending_.erase(0, 1);
    strip_ = false;
  }
  std::string text;
  size_t at = 0;
  while (at < pending_.size()) {
    const Utf8Step step = read_utf8(pending_, at);
    if (step.cut_short) break;
    if (step.valid) {
      text.append(pending_, at, step.length);
    } else {
      append_utf8(text, 0xFFFD);
    }
    at += step.length;
  }
  pending_.erase(0, at);
  return text;
}

std::string StreamingDecoder::finish() {
  const std::string text = repair_utf8(pending_);
  pending_.clear();
  return text;
}

}  // namespace temper
