#include "distill/filter.h"

#include <algorithm>

#include "core/error.h"
#include "data/jsonl.h"
#include "data/row_fields.h"
#include "reward/rules/language.h"
#include "reward/rules/repetition.h"
#include "reward/text.h"

namespace temper {
namespace {

constexpr int64_t kRepeatedWords = 4, kRepeatedCharacters = 24;  // as the rule `repetition` counts

// The user's words of a data row; "" if it has none.
std::string question_text(const JsonValue& row, const std::string& where) {
  if (find_member(row, "messages") != nullptr) {
    for (const Message& message : read_messages(row, where))
      if (message.role == "user") return message.content;
    return "";
  }
  const JsonValue* question = find_question(row);
  return question != nullptr ? value_text(*question) : "";
}

bool is_repetitive(std::string_view text, double most) {
  return repeated_words(text, kRepeatedWords) > most ||
         repeated_characters(text, kRepeatedCharacters) > most;
}

bool is_mixed(std::string_view completion, const FilterOptions& o) {
  const LanguageCounts counts = count_language(thinking_part(completion), o.language);
  return static_cast<double>(counts.target) < o.min_language * static_cast<double>(counts.words);
}

}  // namespace

void add_filter_options(OptionsTable& table, FilterOptions& o) {
  table.group("Filters");
  table.add("keep-truncated", &o.keep_truncated, "keep samples that were cut by the length limit");
  table.add("max-sample-tokens", &o.max_tokens, "leave out longer completions; 0: none")
      .unit("tokens")
      .at_least(0);
  table
      .add("max-repetition", &o.max_repetition,
           "leave out samples of which more than this part repeats itself (4 words, 24 characters)")
      .range(0, 1);
  table.add("language", &o.language, "leave out thoughts that are not in it (en, zh, ...)")
      .value_name("CODE");
  table.add("min-language", &o.min_language, "share of the words that must be in --language")
      .range(0, 1);
  table
      .add("duplicate-ngram", &o.duplicate_ngram,
           "items of the n-grams by which near-duplicates are found; 0: they stay")
      .at_least(0);
  table
      .add("max-similarity", &o.max_similarity,
           "share of common n-grams from which a sample repeats an earlier one")
      .range(0, 1)
      .above(0);
  table
      .add("decontaminate", &o.decontaminate,
           "evaluation data: prompts that share an n-gram with its problems are left out; may be "
           "given several times")
      .value_name("FILE");
  table.add("contamination-ngram", &o.contamination_ngram, "items of those n-grams").at_least(1);
  table.add("per-prompt", &o.per_prompt, "keep at most so many samples of a prompt; 0: all")
      .at_least(0);
}

Contamination read_contamination(const FilterOptions& options) {
  Contamination contamination(options.contamination_ngram);
  for (const std::string& file : options.decontaminate) {
    JsonlReader rows(file);
    while (rows.next()) contamination.add(question_text(rows.row(), rows.where()));
  }
  if (!options.decontaminate.empty() && contamination.empty())
    throw UserError(
        {.what = "the evaluation data has no problem",
         .where = "--decontaminate " + options.decontaminate[0],
         .expected = "rows with \"prompt\", \"question\", \"problem\" or \"messages\""});
  return contamination;
}

SampleFilter::SampleFilter(const FilterOptions& options, const Contamination& contamination)
    : options_(options),
      contamination_(contamination),
      seen_(std::max<int64_t>(1, options.duplicate_ngram), options.max_similarity) {}

const std::vector<std::string_view>& SampleFilter::reasons() {
  static const std::vector<std::string_view> all{"not judged",   "not right",  "truncated",
                                                 "too long",     "repetitive", "language",
                                                 "contaminated", "over quota", "near-duplicate"};
  return all;
}

std::string_view SampleFilter::reason(const SampleView& s) {
  const FilterOptions& o = options_;
  if (!s.judged) return "not judged";
  if (!s.right) return "not right";
  if (s.truncated && !o.keep_truncated) return "truncated";
  if (o.max_tokens > 0 && s.tokens > o.max_tokens) return "too long";
  if (is_repetitive(s.completion, o.max_repetition)) return "repetitive";
  if (!o.language.empty() && is_mixed(s.completion, o)) return "language";
  if (!contamination_.empty() && contamination_.is_in(s.question)) return "contaminated";
  int64_t& kept = kept_[s.prompt];
  if (o.per_prompt > 0 && kept >= o.per_prompt) return "over quota";
  if (o.duplicate_ngram > 0 && seen_.is_repeat(s.completion)) return "near-duplicate";
  ++kept;
  return "";
}

std::string FilterCounts::text() const {
  const auto line = [](std::string_view name, int64_t count) {
    const std::string number = std::to_string(count);
    std::string text = "  " + std::string(name);
    text.resize(std::max<size_t>(text.size() + 1, 26 - std::min<size_t>(25, number.size())), ' ');
    return text + number + "\n";
  };
  std::string text = line("samples", samples);
  for (const std::string_view reason : SampleFilter::reasons()) {
    const auto count = dropped.find(reason);
    text += line(reason, count == dropped.end() ? 0 : count->second);
  }
  text += line("kept", kept);
  return text + line("prompts with one", prompts_kept) + line("of prompts", prompts);
}

}  // namespace temper
