#include "reward/language/identify.h"

#include <algorithm>
#include <array>
#include <map>

namespace temper {
namespace {

constexpr int kVote = 2;

// word -> the languages (by index) that it votes for.
using Votes = std::map<std::string_view, std::vector<size_t>>;

const Votes& stop_word_votes() {
  static const Votes votes = [] {
    Votes made;
    const auto& languages = known_languages();
    for (size_t i = 0; i < languages.size(); ++i) {
      for (const std::string_view word : languages[i].words) made[word].push_back(i);
    }
    return made;
  }();
  return votes;
}

Script commonest_script(const std::vector<Word>& words) {
  std::array<size_t, static_cast<size_t>(Script::other) + 1> counts{};
  for (const Word& word : words) {
    const size_t weight = word.script == Script::thai ? code_points(word.text).size() : 1;
    counts[static_cast<size_t>(word.script)] += weight;
  }
  counts[static_cast<size_t>(Script::none)] = counts[static_cast<size_t>(Script::digit)] = 0;
  // Japanese is written in kana and Han together; Chinese has no kana at all.
  auto& kana = counts[static_cast<size_t>(Script::kana)];
  auto& han = counts[static_cast<size_t>(Script::han)];
  if (kana * 10 > han) kana += han, han = 0;
  const auto most = std::max_element(counts.begin(), counts.end());
  return *most == 0 ? Script::none : static_cast<Script>(most - counts.begin());
}

}  // namespace

const Language* find_language(std::string_view code) {
  for (const Language& language : known_languages()) {
    if (language.code == code) return &language;
  }
  return nullptr;
}

std::vector<int> language_votes(const std::vector<Word>& words) {
  const Script script = commonest_script(words);
  const auto& languages = known_languages();
  std::vector<int> votes(languages.size(), 0);
  for (const Word& word : words) {
    if (word.script != script) continue;
    const std::string small = lowered(word.text);
    if (const auto found = stop_word_votes().find(small); found != stop_word_votes().end()) {
      for (const size_t language : found->second) votes[language] += kVote;
    }
    for (const char32_t code : code_points(small)) {
      if (code < 0x80) continue;
      for (size_t i = 0; i < languages.size(); ++i) {
        if (languages[i].letters.find(code) != std::u32string_view::npos) votes[i] += kVote;
      }
    }
  }
  for (size_t i = 0; i < languages.size(); ++i) {
    if (languages[i].script != script) votes[i] = 0;
    if (languages[i].script == script && languages[i].words.empty()) {
      votes[i] = static_cast<int>(words.size());
    }
  }
  return votes;
}

std::string_view identify_language(const std::vector<Word>& words) {
  const std::vector<int> votes = language_votes(words);
  const auto best = std::max_element(votes.begin(), votes.end());
  if (*best == 0) return "";
  return known_languages()[static_cast<size_t>(best - votes.begin())].code;
}

std::string_view identify_language(std::string_view text) {
  return identify_language(words_of(text));
}

}  // namespace temper
