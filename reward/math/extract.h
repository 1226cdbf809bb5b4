// Finding the final answer in a completion or in a reference solution.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace temper {

enum class AnswerMark { tag, boxed, hashes, phrase, formula, whole, number };

struct FinalAnswer {
  std::string text;  // trimmed; formula delimiters are left where there were any
  AnswerMark mark = AnswerMark::whole;
  std::string coefficient = {};  // the box alone, where a power of letters follows: \boxed{5}x^2
};

// The one final answer of `completion`, in what follows the last </think>. The first of these that
// is there: the content of the only <answer>; the last \boxed{...}, with the boxes joined to it by
// "and", "or" or a comma, unless "the final answer is" stands behind it, and with what is joined to
// it in its formula or as a unit (surroundings.h); the rest of the line after
// the last ####; the formula or sentence after the last "answer is" or "answer:"; a conclusion in
// words behind all formulas, with one number; the last formula in delimiters, with those joined to
// it and a unit after it; the last line, if it is no longer than 256 bytes. Inside the tags a box,
// #### or phrase is looked for again. nullopt with a reason if there is none, if a box or tag is
// not closed or is empty, if words beside the answer deny or change it, or if there are several
// <answer> tags: several guesses are no answer.
std::optional<FinalAnswer> final_answer(std::string_view completion, std::string& reason);

// The answer in a gold: what a tag, box, #### or "answer is" marks in it, else the whole of it. A
// box before the word "percent" is a percentage.
std::optional<FinalAnswer> gold_answer(std::string_view gold, std::string& reason);

// What a sentence in words says: what follows its last "is", "are" or "equals", which is to be read
// as a whole, or its only number, if no word such as "not" or "less" stands in it. Else nullopt.
std::optional<FinalAnswer> value_in_sentence(std::string_view sentence);

// The last number that stands free in a line of words, with its sign, currency and percent sign;
// nullopt if there is none, if it is a part of a formula ("2*9=18"), or if a word in the line
// hedges or denies it ("not 5", "less than 5", "4 or maybe 5").
std::optional<FinalAnswer> last_number(std::string_view line);

}  // namespace temper
