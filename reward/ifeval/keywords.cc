// keywords:*, punctuation:no_comma and detectable_content:*: what must or must not be in the text.
#include <algorithm>

#include "core/linear_regex.h"
#include "reward/ifeval/instruction.h"
#include "reward/language/letters.h"
#include "reward/text.h"

namespace temper {
namespace {

bool is_word_part(char32_t code) {
  return script_of(code) != Script::none || code == '_';
}

// How often `word` occurs in `text` with no letter or digit beside it; capitals do not count.
size_t whole_word_count(std::string_view text, std::string_view word) {
  const std::u32string codes = code_points(lowered(text)), wanted = code_points(lowered(word));
  size_t count = 0;
  for (size_t at = codes.find(wanted); at != std::u32string::npos;
       at = codes.find(wanted, at + 1)) {
    const size_t end = at + wanted.size();
    const bool joined_before =
        at > 0 && is_word_part(codes[at - 1]) && is_word_part(wanted.front());
    const bool joined_after =
        end < codes.size() && is_word_part(codes[end]) && is_word_part(wanted.back());
    count += !joined_before && !joined_after;
  }
  return count;
}

bool keywords_exist(const InstructionInput& in) {
  const std::string text = lowered(in.response);
  const auto keywords = in.texts("keywords");
  return std::all_of(keywords.begin(), keywords.end(), [&](const std::string& keyword) {
    return text.find(lowered(keyword)) != std::string::npos;
  });
}

bool keyword_frequency(const InstructionInput& in) {
  const std::string keyword = lowered(trimmed(in.text("keyword")));
  if (keyword.empty()) return false;
  const auto count = static_cast<int64_t>(count_of(lowered(in.response), keyword));
  return in.compares(count, "frequency", "relation");
}

bool forbidden_words(const InstructionInput& in) {
  const auto words = in.texts("forbidden_words");
  return std::none_of(words.begin(), words.end(), [&](const std::string& word) {
    return whole_word_count(in.response, trimmed(word)) > 0;
  });
}

bool letter_frequency(const InstructionInput& in) {
  const std::u32string letter = code_points(lowered(in.text("letter")));
  if (letter.size() != 1) {
    in.error = "'letter' is not one character";
    return false;
  }
  const std::u32string text = code_points(lowered(in.response));
  return in.compares(std::count(text.begin(), text.end(), letter.front()), "let_frequency",
                     "let_relation");
}

bool no_comma(const InstructionInput& in) {
  return in.response.find(',') == std::string_view::npos;
}

bool placeholders(const InstructionInput& in) {
  const LinearRegex placeholder(R"(\[[^\n\]]*\])", "ifeval");
  const auto count = static_cast<int64_t>(placeholder.search_all(in.response).size());
  return count >= in.integer("num_placeholders");
}

bool postscript(const InstructionInput& in) {
  const std::string marker = lowered(trimmed(in.text("postscript_marker")));
  const std::string text = lowered(in.response);
  if (marker == "p.p.s") return !LinearRegex(R"(p\.\s?p\.\s?s)", "ifeval").search(text).empty();
  if (marker == "p.s.") return !LinearRegex(R"(p\.\s?s\.)", "ifeval").search(text).empty();
  return !marker.empty() && text.find(marker) != std::string::npos;
}

}  // namespace

std::vector<Instruction> keyword_instructions() {
  return {{"keywords:existence", keywords_exist},
          {"keywords:frequency", keyword_frequency},
          {"keywords:forbidden_words", forbidden_words},
          {"keywords:letter_frequency", letter_frequency},
          {"punctuation:no_comma", no_comma},
          {"detectable_content:number_placeholders", placeholders},
          {"detectable_content:postscript", postscript}};
}

}  // namespace temper
