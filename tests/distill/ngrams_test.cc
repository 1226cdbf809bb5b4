#include "distill/ngrams.h"

#include "tests/support/catch.h"

using namespace temper;

namespace {

std::string numbered(int first, int count) {
  std::string text;
  for (int i = first; i < first + count; ++i) text += "word" + std::to_string(i) + " ";
  return text;
}

}  // namespace

TEST_CASE("items are words without case, numbers and symbols; white space is none") {
  CHECK(text_items("The answer  is 42.") == text_items("the ANSWER\nis 42 ."));
  CHECK(text_items("8+7").size() == 3);
  CHECK(text_items("8+7") != text_items("8-7"));
  CHECK(text_items("数学题").size() == 3);
  CHECK(text_items(" \n").empty());
}

TEST_CASE("n-grams are distinct and ascending; a short text is one") {
  CHECK(ngrams_of("a b a b a b", 2).size() == 2);
  CHECK(ngrams_of("a b c", 10).size() == 1);
  CHECK(ngrams_of("a b c", 10) != ngrams_of("a b d", 10));
  CHECK(ngrams_of("", 3).empty());
  CHECK(jaccard({1, 2, 3}, {2, 3, 4}) == 0.5);
  CHECK(jaccard({}, {}) == 0.0);
}

TEST_CASE("near-duplicates are found by their common n-grams, exactly for short texts") {
  // 30 words have 28 3-grams; one changed word in the middle costs 3 of them: 25 / 31.
  std::string changed = numbered(0, 30);
  changed.replace(changed.find("word15"), 6, "other");
  NearDuplicates loose(3, 25.0 / 31 - 1e-9), strict(3, 25.0 / 31 + 1e-9);
  for (NearDuplicates* seen : {&loose, &strict}) CHECK_FALSE(seen->is_repeat(numbered(0, 30)));
  CHECK(loose.is_repeat(changed));
  CHECK_FALSE(strict.is_repeat(changed));
  CHECK(strict.is_repeat(changed));  // itself, the second time
  CHECK_FALSE(strict.is_repeat(numbered(500, 30)));
}

TEST_CASE("the sketch of a long text estimates its similarity") {
  // 2,000 words of which the first `common` are shared: 1-grams, Jaccard c / (4000 - c).
  for (const int common : {1000, 1800}) {
    const double truth = common / (4000.0 - common);
    NearDuplicates below(1, truth - 0.15), above(1, truth + 0.15);
    for (NearDuplicates* seen : {&below, &above}) CHECK_FALSE(seen->is_repeat(numbered(0, 2000)));
    const std::string other = numbered(0, common) + numbered(5000, 2000 - common);
    CHECK(below.is_repeat(other));
    CHECK_FALSE(above.is_repeat(other));
  }
}

TEST_CASE("contamination: a common run of items, or the whole of a short problem") {
  Contamination evaluation(5);
  evaluation.add("How many apples does Tom have in the end?");
  evaluation.add("8+7=?");
  CHECK(evaluation.is_in("Say: how many APPLES does Tom, the boy, own?"));
  CHECK_FALSE(evaluation.is_in("How many pears does Tom have?"));
  CHECK(evaluation.is_in("8 + 7 = ?"));
  CHECK_FALSE(evaluation.is_in("8-7=?"));
  CHECK_FALSE(Contamination(5).is_in("8+7=?"));
}
