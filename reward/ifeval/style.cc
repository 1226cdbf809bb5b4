// change_case:*, startend:*, combination:* and language:*.
#include <algorithm>

#include "reward/ifeval/instruction.h"
#include "reward/ifeval/sentences.h"
#include "reward/language/identify.h"
#include "reward/text.h"

namespace temper {
namespace {

// Letters that have two cases: whether there are any, and whether all are capitals or all small.
struct Cases {
  bool upper = false, lower = false;
};
Cases cases_of(std::string_view text) {
  Cases cases;
  for (const char32_t code : code_points(text)) {
    cases.upper = cases.upper || is_upper(code);
    cases.lower = cases.lower || is_lower(code);
  }
  return cases;
}

bool is_all_capitals(std::string_view text) {
  const Cases cases = cases_of(text);
  return cases.upper && !cases.lower;
}

bool english_capital(const InstructionInput& in) {
  return is_all_capitals(in.response) && identify_language(in.response) == "en";
}

bool english_lowercase(const InstructionInput& in) {
  const Cases cases = cases_of(in.response);
  return cases.lower && !cases.upper && identify_language(in.response) == "en";
}

// Whether a full stop, hyphen or slash alone stands between two words of one text.
bool are_joined(std::string_view first, std::string_view second) {
  const char* end = first.data() + first.size();
  return second.data() == end + 1 && (*end == '.' || *end == '-' || *end == '/');
}

// "P.S", "WELL-KNOWN" and "AND/OR" are one word each.
bool capital_word_frequency(const InstructionInput& in) {
  const std::vector<Word> words = words_of(in.response);
  int64_t count = 0;
  for (size_t i = 0; i < words.size();) {
    bool capitals = is_all_capitals(words[i].text);
    size_t next = i + 1;
    for (; next < words.size() && are_joined(words[next - 1].text, words[next].text); ++next)
      capitals = capitals && is_all_capitals(words[next].text);
    count += capitals;
    i = next;
  }
  return in.compares(count, "capital_frequency", "capital_relation");
}

bool end_checker(const InstructionInput& in) {
  std::string_view text = trimmed(in.response);
  while (text.ends_with('"')) text.remove_suffix(1);
  const std::string phrase = lowered(trimmed(in.text("end_phrase")));
  return !phrase.empty() && lowered(trimmed(text)).ends_with(phrase);
}

bool quotation(const InstructionInput& in) {
  const std::string_view text = trimmed(in.response);
  return text.size() > 1 && text.front() == '"' && text.back() == '"';
}

bool two_responses(const InstructionInput& in) {
  const auto parts = split_trimmed(in.response, "******");
  std::vector<std::string_view> responses;
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool at_an_end = i == 0 || i + 1 == parts.size();
    if (parts[i].empty() && !at_an_end) return false;
    if (!parts[i].empty()) responses.push_back(parts[i]);
  }
  return responses.size() == 2 && responses[0] != responses[1];
}

bool repeat_prompt(const InstructionInput& in) {
  const std::string prompt = lowered(trimmed(in.text("prompt_to_repeat")));
  return !prompt.empty() && lowered(trimmed(in.response)).starts_with(prompt);
}

bool response_language(const InstructionInput& in) {
  const std::string code = in.text("language");
  if (find_language(code) == nullptr) {
    in.error = "language '" + code + "' is not known here";
    return false;
  }
  return identify_language(in.response) == code;
}

}  // namespace

std::vector<Instruction> style_instructions() {
  return {{"change_case:english_capital", english_capital},
          {"change_case:english_lowercase", english_lowercase},
          {"change_case:capital_word_frequency", capital_word_frequency},
          {"startend:end_checker", end_checker},
          {"startend:quotation", quotation},
          {"combination:two_responses", two_responses},
          {"combination:repeat_prompt", repeat_prompt},
          {"language:response_language", response_language}};
}

}  // namespace temper
