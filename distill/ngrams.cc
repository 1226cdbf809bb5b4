#include "distill/ngrams.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/hash.h"
#include "core/utf8.h"
#include "reward/language/letters.h"

namespace temper {
namespace {

constexpr size_t kSketch = 128;

// Spreads the bits, so that the smallest hashes are a fair draw.
// Source: the finaliser of SplitMix64 (Steele, Lea and Flood 2014).
uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

uint64_t hash_of(const uint64_t* items, size_t count) {
  uint64_t hash = count;
  for (size_t i = 0; i < count; ++i) hash = mixed(hash * 0x9e3779b97f4a7c15 + items[i]);
  return hash;
}

}  // namespace

std::vector<uint64_t> text_items(std::string_view text) {
  std::vector<uint64_t> items;
  const std::vector<Word> words = words_of(text);
  const char* at = text.data();
  const auto add_symbols = [&](const char* end) {
    const std::string_view between(at, static_cast<size_t>(end - at));
    for (const char32_t code : code_points(between))
      if (!is_unicode_space(code)) items.push_back(mixed(uint64_t{1} << 32 | code));
  };
  for (const Word& word : words) {
    add_symbols(word.text.data());
    items.push_back(mixed(fnv1a(lowered(word.text))));
    at = word.text.data() + word.text.size();
  }
  add_symbols(text.data() + text.size());
  return items;
}

std::vector<uint64_t> ngrams_of(std::string_view text, int64_t n) {
  const std::vector<uint64_t> items = text_items(text);
  const size_t length = std::min(items.size(), static_cast<size_t>(n));
  std::vector<uint64_t> ngrams;
  for (size_t i = 0; length > 0 && i + length <= items.size(); ++i)
    ngrams.push_back(hash_of(items.data() + i, length));
  std::sort(ngrams.begin(), ngrams.end());
  ngrams.erase(std::unique(ngrams.begin(), ngrams.end()), ngrams.end());
  return ngrams;
}

double jaccard(const std::vector<uint64_t>& a, const std::vector<uint64_t>& b) {
  if (a.empty() && b.empty()) return 0.0;
  size_t both = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (a[i] == b[j])
      ++both, ++i, ++j;
    else if (a[i] < b[j])
      ++i;
    else
      ++j;
  }
  return static_cast<double>(both) / static_cast<double>(a.size() + b.size() - both);
}

double NearDuplicates::similarity(const std::vector<uint64_t>& a,
                                  const std::vector<uint64_t>& b) const {
  if (a.size() < kSketch && b.size() < kSketch) return jaccard(a, b);
  // Of the kSketch smallest hashes of the union, how many are in both.
  size_t seen = 0, both = 0;
  for (size_t i = 0, j = 0; seen < kSketch && (i < a.size() || j < b.size()); ++seen) {
    const bool only_a = j == b.size() || (i < a.size() && a[i] < b[j]);
    const bool only_b = i == a.size() || (j < b.size() && b[j] < a[i]);
    if (only_a) {
      ++i;
    } else if (only_b) {
      ++j;
    } else {
      ++both, ++i, ++j;
    }
  }
  return static_cast<double>(both) / static_cast<double>(seen);
}

bool NearDuplicates::is_repeat(std::string_view text) {
  std::vector<uint64_t> sketch = ngrams_of(text, n_);
  if (sketch.size() > kSketch) sketch.resize(kSketch);
  std::unordered_map<uint32_t, size_t> shared;
  for (const uint64_t hash : sketch) {
    const auto holders = index_.find(hash);
    if (holders == index_.end()) continue;
    for (const uint32_t other : holders->second) ++shared[other];
  }
  for (const auto& [other, count] : shared)
    if (similarity(sketch, sketches_[other]) >= threshold_) return true;
  const auto id = static_cast<uint32_t>(sketches_.size());
  for (const uint64_t hash : sketch) index_[hash].push_back(id);
  sketches_.push_back(std::move(sketch));
  return false;
}

void Contamination::add(std::string_view evaluation_text) {
  for (const uint64_t ngram : ngrams_of(evaluation_text, n_)) ngrams_.insert(ngram);
}

bool Contamination::is_in(std::string_view text) const {
  const std::vector<uint64_t> ngrams = ngrams_of(text, n_);
  return std::any_of(ngrams.begin(), ngrams.end(),
                     [&](uint64_t ngram) { return ngrams_.contains(ngram); });
}

}  // namespace temper
