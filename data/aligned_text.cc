#include "data/aligned_text.h"

#include <utility>

namespace temper {

void AlignedBuilder::keep(size_t begin, size_t end) {
  result_.text.append(from_.text, begin, end - begin);
  for (size_t i = begin; i < end; ++i) result_.origin.push_back(from_.original(i));
}

void AlignedBuilder::put(std::string_view text, size_t at) {
  result_.text.append(text);
  result_.origin.insert(result_.origin.end(), text.size(), from_.original(at));
}

AlignedText AlignedBuilder::finish() {
  result_.origin.push_back(from_.original(from_.text.size()));
  return std::move(result_);
}

}  // namespace temper
