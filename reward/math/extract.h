// Finding the final answer in a completion or in a reference solution.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace temper {

enum class AnswerMark { tag, boxed, hashes, phrase, dollars, whole };

struct FinalAnswer {
  std::string_view text;  // trimmed, without the mark
  AnswerMark mark = AnswerMark::whole;
};

// The one final answer of `completion`, in what follows the last </think>. The first of these that
// is there: the content of the only <answer>; the last \boxed{...}; the rest of the line after the
// last ####; what follows the last "answer is" or "answer:"; the last $...$, \(...\) or \[...\];
// the whole text if it is one line of at most 256 bytes. Inside the tags a box, #### or phrase is
// looked for again. nullopt with a reason if there is none, if a box or tag is not closed or is
// empty, or if there are several <answer> tags: several guesses are no answer.
std::optional<FinalAnswer> final_answer(std::string_view completion, std::string& reason);

}  // namespace temper
