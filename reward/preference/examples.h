// Preferences as token ids, with what is known of their lengths.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "reward/preference/data.h"
#include "reward/preference/scored_text.h"

namespace temper {

// One row: the texts that are scored together.
struct PreferenceExample {
  std::vector<std::vector<int32_t>> texts;  // [answers]
  std::vector<bool> good;                   // [answers]
  std::vector<int64_t> answer_tokens;       // [answers]  before any cut
  int64_t cut = 0;                          // texts that were cut to fit
  bool is_pair() const { return texts.size() == 2; }
  int64_t tokens() const;
};

// The row's conversation with each of its answers, by the model's template; a text of more than
// `max_tokens` loses the question's beginning, then its own end.
PreferenceExample make_example(const Tokenizer& tokenizer, const ChatTemplate& chat,
                               const PreferenceRow& row, int64_t max_tokens);

// Whether a model could win by length alone.
struct LengthReport {
  int64_t good = 0, bad = 0;                   // answers
  double good_tokens = 0.0, bad_tokens = 0.0;  // means
  int64_t pairs = 0;
  double better_longer = 0.0;  // share of pairs whose better answer is longer; a tie is a half
  int64_t cut = 0;             // texts
  std::string text() const;
};
LengthReport length_report(std::span<const PreferenceExample> examples);

}  // namespace temper
