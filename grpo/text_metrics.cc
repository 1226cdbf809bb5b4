#include "grpo/text_metrics.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "reward/language/letters.h"

namespace temper {

double repetition_rate(std::span<const int32_t> ids, size_t n) {
  if (ids.size() < n || n == 0) return 0.0;
  std::set<std::vector<int32_t>> seen;
  const size_t count = ids.size() - n + 1;
  for (size_t i = 0; i < count; ++i)
    seen.insert({ids.begin() + static_cast<std::ptrdiff_t>(i),
                 ids.begin() + static_cast<std::ptrdiff_t>(i + n)});
  return static_cast<double>(count - seen.size()) / static_cast<double>(count);
}

int64_t reflective_words(std::string_view text) {
  constexpr std::array<std::string_view, 10> kWords = {"wait",     "mistake", "however", "but",
                                                       "retry",    "error",   "verify",  "wrong",
                                                       "evaluate", "check"};
  int64_t count = 0;
  std::string word;
  const auto end_word = [&] {
    count += std::find(kWords.begin(), kWords.end(), word) != kWords.end();
    word.clear();
  };
  for (const char c : text) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (lower >= 'a' && lower <= 'z') {
      word += lower;
    } else {
      end_word();
    }
  }
  end_word();
  return count;
}

double foreign_script_share(std::string_view text) {
  std::map<Script, int64_t> counts;
  int64_t words = 0, most = 0;
  for (const Word& word : words_of(text)) {
    if (word.script == Script::none || word.script == Script::digit) continue;
    most = std::max(most, ++counts[word.script]);
    ++words;
  }
  return words > 0 ? static_cast<double>(words - most) / static_cast<double>(words) : 0.0;
}

}  // namespace temper
