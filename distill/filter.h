// Which samples of a teacher are worth learning from.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/options.h"
#include "distill/ngrams.h"

namespace temper {

struct FilterOptions {
  bool keep_truncated = false;
  int64_t max_tokens = 0;        // of a completion; 0: no limit
  double max_repetition = 0.5;   // largest share of repeated n-grams (reward/rules/repetition.h)
  std::string language;          // "en": thoughts in it; "": not looked at
  double min_language = 0.9;     // share of the words that must be in it
  int64_t duplicate_ngram = 10;  // items of an n-gram; 0: duplicates stay
  double max_similarity = 0.8;   // Jaccard index from which a sample repeats an earlier one
  std::vector<std::string> decontaminate;  // evaluation files whose problems must not be learnt
  int64_t contamination_ngram = 10;
  int64_t per_prompt = 0;  // most samples of one prompt, the first ones; 0: all
};

// Appends the options under the group "Filters".
void add_filter_options(OptionsTable& table, FilterOptions& options);

// The problems of the evaluation files, as n-grams. Throws UserError for a file that is no data.
Contamination read_contamination(const FilterOptions& options);

// What the filters look at.
struct SampleView {
  int64_t prompt = 0;         // which prompt it answers
  std::string_view question;  // the user's words
  std::string_view completion;
  int64_t tokens = 0;
  bool judged = true, right = true, truncated = false;
};

// Looks at samples in their order and says why each is left out.
class SampleFilter {
 public:
  // Both must outlive it.
  SampleFilter(const FilterOptions& options, const Contamination& contamination);

  // The first reason that holds, of reasons(), or "" to keep the sample. What is kept counts for
  // later samples of the same prompt and for near-duplicates.
  std::string_view reason(const SampleView& sample);

  // "not judged", "not right", "truncated", ... in the order in which they are looked at.
  static const std::vector<std::string_view>& reasons();

 private:
  const FilterOptions& options_;
  const Contamination& contamination_;
  NearDuplicates seen_;
  std::map<int64_t, int64_t> kept_;  // of each prompt
};

// How many samples there were and what became of them.
struct FilterCounts {
  int64_t samples = 0, kept = 0;
  int64_t prompts = 0, prompts_kept = 0;  // prompts_kept: with at least one sample left
  std::map<std::string_view, int64_t> dropped = {};

  // A line a reason, all of them: "  not right         37".
  std::string text() const;
};

}  // namespace temper
