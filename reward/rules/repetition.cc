#include "reward/rules/repetition.h"

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "core/error.h"
#include "core/options.h"
#include "reward/language/letters.h"
#include "reward/text.h"

namespace temper {
namespace {

// A polynomial hash of 61 bits: sum of item_i * kBase^(n-1-i) modulo 2^61 - 1.
constexpr uint64_t kModulus = (uint64_t{1} << 61) - 1, kBase = 0x9E3779B97F4A7C1 % kModulus;

uint64_t times(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  const uint64_t sum =
      static_cast<uint64_t>(product & kModulus) + static_cast<uint64_t>(product >> 61);
  return sum >= kModulus ? sum - kModulus : sum;
}

uint64_t plus(uint64_t a, uint64_t b) {
  const uint64_t sum = a + b;
  return sum >= kModulus ? sum - kModulus : sum;
}

double repeated_share(const std::vector<uint64_t>& items, int64_t n) {
  const auto length = static_cast<size_t>(n);
  if (n <= 0 || items.size() < length + 1) return 0.0;
  uint64_t top = 1;  // kBase^n: what the item that leaves weighs
  for (size_t i = 0; i < length; ++i) top = times(top, kBase);
  std::unordered_set<uint64_t> seen;
  uint64_t hash = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    hash = plus(times(hash, kBase), items[i]);
    if (i >= length) hash = plus(hash, kModulus - times(top, items[i - length]));
    if (i + 1 >= length) seen.insert(hash % kModulus);
  }
  const double grams = static_cast<double>(items.size() - length + 1);
  return 1.0 - static_cast<double>(seen.size()) / grams;
}

// Layout is no repetition, but a long run of whitespace is: of each run one character in eight
// counts, and one at least between words.
std::string with_short_spaces(std::string_view text) {
  constexpr size_t kOneOf = 8;
  std::string result;
  while (!text.empty()) {
    size_t spaces = 0;
    while (const size_t n = leading_space(text)) {
      ++spaces;
      text.remove_prefix(n);
    }
    const size_t least = spaces > 0 && !result.empty() && !text.empty() ? 1 : 0;
    result.append(std::max(least, spaces / kOneOf), ' ');
    while (!text.empty() && leading_space(text) == 0) {
      result += text.front();
      text.remove_prefix(1);
    }
  }
  return result;
}

class RepetitionRule final : public RewardRule {
 public:
  RepetitionRule(int64_t words, int64_t characters, double allowed)
      : words_(words), characters_(characters), allowed_(allowed) {}

  Verdict score(const RewardInput& input) const override {
    const double words = repeated_words(input.completion, words_);
    const double characters = repeated_characters(input.completion, characters_);
    const double most = std::max(words, characters);
    Verdict verdict = verdict_ok({});
    verdict.value = -std::clamp((most - allowed_) / (1.0 - allowed_), 0.0, 1.0);
    if (verdict.value == 0.0) verdict.value = 0.0;  // not -0
    verdict.reason = "repeats " + percent(words) + " % of its word n-grams, " +
                     percent(characters) + " % of its character n-grams";
    if (verdict.value < 0.0) verdict.status = VerdictStatus::wrong;
    return verdict;
  }

 private:
  static std::string percent(double share) {
    return std::to_string(static_cast<int>(100.0 * share + 0.5));
  }

  int64_t words_, characters_;
  double allowed_;
};

std::unique_ptr<RewardRule> make_repetition(const RuleParameters& p) {
  const int64_t words = p.integer("words"), characters = p.integer("characters");
  const double allowed = p.number("allowed");
  if (words < 0 || characters < 0 || (words == 0 && characters == 0) || allowed < 0.0 ||
      allowed >= 1.0) {
    throw UserError({.what = "bad limits of reward rule 'repetition'",
                     .expected = "words or characters above 0, and allowed from 0 to below 1",
                     .found = "words " + option_text(words) + ", characters " +
                              option_text(characters) + ", allowed " + option_text(allowed)});
  }
  return std::make_unique<RepetitionRule>(words, characters, allowed);
}

}  // namespace

double repeated_words(std::string_view text, int64_t n) {
  std::vector<uint64_t> items;
  for (const Word& word : words_of(text)) {
    uint64_t item = 0;
    for (const char32_t code : code_points(word.text)) {
      item = plus(times(item, kBase), lower_of(code) + 1);
    }
    items.push_back(item);
  }
  return repeated_share(items, n);
}

double repeated_characters(std::string_view text, int64_t n) {
  const std::u32string codes = code_points(with_short_spaces(text));
  return repeated_share({codes.begin(), codes.end()}, n);
}

RuleInfo repetition_rule() {
  return {"repetition",
          "a penalty from 0 to -1 for n-grams of words or characters that come again",
          {{"words", "4", "words of an n-gram; 0: none are counted"},
           {"characters", "24", "characters of an n-gram; 0: none are counted"},
           {"allowed", "0.3", "the share of repeated n-grams that costs nothing"}},
          make_repetition};
}

}  // namespace temper
