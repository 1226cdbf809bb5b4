// Texts as sets of n-grams: what two texts share, without keeping the texts.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace temper {

// The items of a text: words in small letters, numbers, and every other visible character by
// itself; a script without spaces gives an item a character. White space does not count.
std::vector<uint64_t> text_items(std::string_view text);

// The distinct n-grams of the text's items as hashes, ascending. A text of fewer than n items has
// one n-gram: all of it. Empty for a text without items.
std::vector<uint64_t> ngrams_of(std::string_view text, int64_t n);

// |A and B| / |A or B| of two ascending lists; 0 if both are empty.
double jaccard(const std::vector<uint64_t>& a, const std::vector<uint64_t>& b);

// Finds texts that say nearly the same as one before. Keeps of every text the 128 smallest of its
// n-grams' hashes: of texts with no more n-grams the similarity is exact, of longer ones an
// unbiased estimate (bottom-k sketches).
// Source: Broder 1997, "On the resemblance and containment of documents".
class NearDuplicates {
 public:
  // Texts are near-duplicates if the Jaccard index of their n-grams is at least `threshold`.
  NearDuplicates(int64_t n, double threshold) : n_(n), threshold_(threshold) {}

  // Whether a near-duplicate was added before; if not, the text is added.
  bool is_repeat(std::string_view text);

 private:
  double similarity(const std::vector<uint64_t>& a, const std::vector<uint64_t>& b) const;

  int64_t n_;
  double threshold_;
  std::vector<std::vector<uint64_t>> sketches_;
  std::unordered_map<uint64_t, std::vector<uint32_t>> index_;  // hash -> sketches that hold it
};

// The n-grams of evaluation texts, and which texts share one with them.
// Source: n = 10 in DeepSeek-R1 (arXiv 2501.12948v2, on decontamination).
class Contamination {
 public:
  explicit Contamination(int64_t n) : n_(n) {}

  void add(std::string_view evaluation_text);  // one more text that must not be trained on
  // Whether the text has an n-gram of an evaluation text, or holds fewer than n items and is one.
  bool is_in(std::string_view text) const;
  bool empty() const { return ngrams_.empty(); }

 private:
  int64_t n_;
  std::unordered_set<uint64_t> ngrams_;
};

}  // namespace temper
