// length_constraints:*: words, sentences, paragraphs.
#include <algorithm>

#include "reward/ifeval/instruction.h"
#include "reward/ifeval/sentences.h"
#include "reward/language/letters.h"
#include "reward/text.h"

namespace temper {
namespace {

bool number_of_words(const InstructionInput& in) {
  return in.compares(static_cast<int64_t>(words_of(in.response).size()), "num_words", "relation");
}

bool number_of_sentences(const InstructionInput& in) {
  return in.compares(count_sentences(in.response), "num_sentences", "relation");
}

// Paragraphs stand between "***"; empty ones only at the start and the end.
bool number_of_paragraphs(const InstructionInput& in) {
  const auto parts = split_trimmed(in.response, "***");
  int64_t count = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool at_an_end = i == 0 || i + 1 == parts.size();
    if (parts[i].empty() && !at_an_end) return false;
    count += !parts[i].empty();
  }
  return count == in.integer("num_paragraphs");
}

// The first word of a paragraph in small letters, without quotes before it, up to its first
// punctuation mark.
std::string first_word(std::string_view paragraph) {
  const size_t end = std::min(paragraph.find_first_of(" \t\r\n"), paragraph.size());
  std::string_view word = paragraph.substr(0, end);
  while (!word.empty() && (word.front() == '\'' || word.front() == '"')) word.remove_prefix(1);
  return lowered(word.substr(0, word.find_first_of(".,?!'\"")));
}

// Here paragraphs stand between two line breaks.
bool nth_paragraph_first_word(const InstructionInput& in) {
  const int64_t wanted = in.integer("num_paragraphs"), nth = in.integer("nth_paragraph");
  const std::string word = lowered(in.text("first_word"));
  if (nth < 1) {
    in.error = "'nth_paragraph' counts from 1";
    return false;
  }
  const auto parts = split_trimmed(in.response, "\n\n");
  const auto count = std::count_if(parts.begin(), parts.end(),
                                   [](std::string_view part) { return !part.empty(); });
  if (count != wanted || nth > count) return false;
  const std::string_view paragraph = parts[static_cast<size_t>(nth - 1)];
  return !paragraph.empty() && first_word(paragraph) == word;
}

}  // namespace

std::vector<Instruction> length_instructions() {
  return {{"length_constraints:number_words", number_of_words},
          {"length_constraints:number_sentences", number_of_sentences},
          {"length_constraints:number_paragraphs", number_of_paragraphs},
          {"length_constraints:nth_paragraph_first_word", nth_paragraph_first_word}};
}

}  // namespace temper
