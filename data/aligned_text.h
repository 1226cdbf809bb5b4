// Text on its way to the tokenizer that remembers where each byte came from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace temper {

// A part of a text, in bytes.
struct TextRange {
  uint32_t begin = 0, end = 0;
};

// `text`, and for each byte (and the end) the offset in the original input it came from.
// An empty `origin` means offset = base + position, the common case.
struct AlignedText {
  std::string text;
  std::vector<uint32_t> origin;
  uint32_t base = 0;

  uint32_t original(size_t at) const {
    return origin.empty() ? base + static_cast<uint32_t>(at) : origin[at];
  }
  std::string_view part(TextRange range) const {
    return std::string_view(text).substr(range.begin, range.end - range.begin);
  }
};

// Builds the text that a change makes, piece by piece, with its alignment.
class AlignedBuilder {
 public:
  explicit AlignedBuilder(const AlignedText& from) : from_(from) { result_.base = from.base; }

  // The next bytes [begin, end) of the source, unchanged.
  void keep(size_t begin, size_t end);
  // New text in the place of the source's byte `at`: all of it is said to come from there.
  void put(std::string_view text, size_t at);
  size_t size() const { return result_.text.size(); }
  // The changed text; the builder is then used up.
  AlignedText finish();

 private:
  const AlignedText& from_;
  AlignedText result_;
};

}  // namespace temper
