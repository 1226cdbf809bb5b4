#include "reward/rules/language.h"

#include <algorithm>

#include "reward/language/identify.h"
#include "reward/language/prose.h"
#include "reward/text.h"

namespace temper {
namespace {

// A sentence of so many words without one known word is in no known language; shorter ones may be
// names or a title, and do not count.
constexpr size_t kLongSentence = 8;
constexpr int kCertain = 4;  // votes that tell another language: "per" alone is not Italian

// Cuts at line ends and after the marks that end a sentence.
std::vector<std::string_view> sentences_of(std::string_view text) {
  std::vector<std::string_view> sentences;
  while (!text.empty()) {
    size_t end = text.find_first_of("!?;\n");
    end = std::min(end, text.find(". "));  // not in numbers
    for (const std::string_view mark : {"。", "！", "？", "；"}) {
      const size_t at = text.substr(0, end).find(mark);
      if (at != std::string_view::npos) end = at + mark.size() - 1;
    }
    const size_t length = end == std::string_view::npos ? text.size() : end + 1;
    sentences.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return sentences;
}

// Words that are in a language at all: no numbers, no single Latin letters (variables).
std::vector<Word> language_words(std::string_view sentence) {
  std::vector<Word> words = words_of(sentence);
  std::erase_if(words, [](const Word& word) {
    return word.script == Script::digit || (word.script == Script::latin && word.text.size() == 1);
  });
  return words;
}

void count_sentence(const std::vector<Word>& words, const Language& target,
                    LanguageCounts& counts) {
  // The words of each script speak for themselves: "the answer 是 five" is not in one language.
  std::vector<Word> own;
  int64_t foreign = 0;
  for (const Word& word : words) {
    const bool japanese = target.script == Script::kana && word.script == Script::han;
    if (word.script == target.script || japanese) {
      own.push_back(word);
    } else {
      ++foreign;
    }
  }
  counts.words += foreign;
  if (own.empty()) return;
  const std::vector<int> votes = language_votes(own);
  const int best = *std::max_element(votes.begin(), votes.end());
  const int ours = votes[static_cast<size_t>(&target - known_languages().data())];
  const bool in_target = ours > 0 && ours >= best;
  const bool in_another = best > ours && best >= kCertain;
  if (!in_target && !in_another && own.size() < kLongSentence) return;
  counts.words += static_cast<int64_t>(own.size());
  if (in_target) counts.target += static_cast<int64_t>(own.size());
}

class LanguageRule final : public RewardRule {
 public:
  LanguageRule(const Language& target, const std::string& part, double least)
      : target_(target), part_(part), least_(least) {}

  Verdict score(const RewardInput& input) const override {
    std::string_view text = input.completion;
    if (part_ == "thinking") text = thinking_part(text);
    if (part_ == "final") text = final_part(text);
    const LanguageCounts counts = count_language(text, target_.code);
    if (counts.words == 0) return verdict_no_answer("no words of a known language");
    Verdict verdict = verdict_ok({});
    verdict.value = static_cast<double>(counts.target) / static_cast<double>(counts.words);
    verdict.reason = std::to_string(counts.target) + " of " + std::to_string(counts.words) +
                     " words in '" + std::string(target_.code) + "'";
    if (verdict.value < least_) verdict.status = VerdictStatus::wrong;
    return verdict;
  }

 private:
  const Language& target_;
  std::string part_;
  double least_;
};

std::vector<std::string> known_codes() {
  std::vector<std::string> codes;
  for (const Language& language : known_languages()) codes.emplace_back(language.code);
  return codes;
}

}  // namespace

LanguageCounts count_language(std::string_view text, std::string_view code) {
  LanguageCounts counts;
  const Language* target = find_language(code);
  if (target == nullptr) return counts;
  const std::string prose = prose_of(text);
  for (const std::string_view sentence : sentences_of(prose)) {
    count_sentence(language_words(sentence), *target, counts);
  }
  return counts;
}

RuleInfo language_rule() {
  return {"language",
          "the share of the chain of thought's words that are in one language",
          {{"target", "en", "the language, as its two letters", known_codes()},
           {"part", "thinking", "what is judged", {"thinking", "final", "all"}},
           {"least", "0.95", "the share from which on the verdict is ok"}},
          [](const RuleParameters& parameters) -> std::unique_ptr<RewardRule> {
            return std::make_unique<LanguageRule>(*find_language(parameters.text("target")),
                                                  parameters.text("part"),
                                                  parameters.number("least"));
          }};
}

}  // namespace temper
