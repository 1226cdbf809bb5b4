// Equality of two answers, decided by the gold's type.
#pragma once

#include <string>

#include "reward/math/budget.h"
#include "reward/math/node.h"

namespace temper {

struct CompareOptions {
  // Whether an inequality may stand for the interval that the gold is. Off, an answer cannot repeat
  // the question "for which x is 1 < x < 2".
  bool inequality_for_interval = false;
  // Whether the question asks for a percentage: then 60% is what a gold of 60 says.
  bool percent_asked = false;
};

// Whether `answer` is equal to `gold`. Sets and lists are compared without order, tuples and
// matrices with it; units must agree where both have one; a bracket's kind counts; x = 5 is 5 where
// one side is a name. Anything of another type is not equal.
bool same_answer(const Node& gold, const Node& answer, const CompareOptions& options,
                 MathBudget& budget);

// Whether two answers in words are the same: letter by letter, except that a few common words (yes,
// no, true, ...) may differ in capitals, choices may stand in brackets, and lists of words in any
// order.
bool same_words(const std::string& gold, const std::string& answer);

// Whether the text is a time of day: "4:30 p.m.", "16:30".
bool is_time(const std::string& words);

// Whether it can be nothing else: 4:30 is a time, 1:21 may be a ratio, for nobody writes 4:30 for
// 2:15.
bool is_only_a_time(const std::string& words);

// "no solution", "no real solutions", "empty set".
bool says_no_solution(const std::string& words);

// The letter that the text chooses: "B", "(B)", "B.", "(B) 12 apples"; '\0' if it is no choice.
// `alone` is set if nothing follows the letter.
char chosen_letter(const std::string& words, bool& alone);

}  // namespace temper
