// The rule `language`: whether the chain of thought keeps to one language.
#pragma once

#include "reward/registry.h"

namespace temper {

// The share of the words of the chain of thought that are in the target language,
//   value = words in it / words of a known language or of another script,
// by script and by stop words sentence by sentence (docs/rewards.md). ok from `least` on.
// Source: DeepSeek-R1 section 2.3.2, the language consistency reward.
RuleInfo language_rule();

// The counts behind the share, of one text.
struct LanguageCounts {
  int64_t words = 0;   // that count
  int64_t target = 0;  // of them in the target language
};
LanguageCounts count_language(std::string_view text, std::string_view code);

}  // namespace temper
