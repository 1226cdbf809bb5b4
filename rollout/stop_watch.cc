#include "rollout/stop_watch.h"

#include <algorithm>

namespace temper {

StopWatch::StopWatch(const Tokenizer& tokenizer, std::vector<std::string> stop_strings,
                     Special special)
    : tokenizer_(tokenizer),
      special_(special),
      decoder_(tokenizer, {.skip_special = false, .at_text_start = false}),
      stops_(std::move(stop_strings)) {
  std::erase(stops_, std::string());
  for (const std::string& stop : stops_) longest_ = std::max(longest_, stop.size());
}

bool StopWatch::push(int32_t id) {
  if (done_ || hides(id)) return done_;
  return add(decoder_.push(id));
}

bool StopWatch::hides(int32_t id) const {
  if (special_ == Special::shown || !tokenizer_.is_special(id)) return false;
  return std::none_of(stops_.begin(), stops_.end(), [&](const std::string& stop) {
    return stop.find(tokenizer_.bytes(id)) != std::string::npos;
  });
}

void StopWatch::finish() {
  if (!done_) add(decoder_.finish());
  done_ = true;
}

bool StopWatch::add(const std::string& piece) {
  // A new stop string ends in the new piece, so it starts no earlier than this.
  const size_t from = text_.size() + 1 > longest_ ? text_.size() + 1 - longest_ : 0;
  text_ += piece;
  size_t cut = std::string::npos;
  for (const std::string& stop : stops_) cut = std::min(cut, text_.find(stop, from));
  if (cut == std::string::npos) return false;
  text_.resize(cut);
  done_ = true;
  return true;
}

std::string StopWatch::take() {
  size_t end = text_.size();
  if (!done_) {
    // Hold back the longest tail that begins a stop string.
    for (const std::string& stop : stops_) {
      for (size_t n = std::min(stop.size() - 1, text_.size()); n > 0; --n) {
        if (text_.compare(text_.size() - n, n, stop, 0, n) != 0) continue;
        end = std::min(end, text_.size() - n);
        break;
      }
    }
  }
  if (end <= taken_) return {};
  std::string piece = text_.substr(taken_, end - taken_);
  taken_ = end;
  return piece;
}

}  // namespace temper
