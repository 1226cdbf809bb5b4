// What a judge is asked, and how its verdict is read.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "data/sample.h"

namespace temper {

// Places of a template: {question}, {reference}, {mark}, and {answer} to grade, or {answer_a} and
// {answer_b} to compare. What stands between {{reference and reference}} is left out where the row
// has no reference.
class JudgePrompt {
 public:
  enum class Kind { grade, pairwise };

  // The built-in template of the kind.
  explicit JudgePrompt(Kind kind);
  // A template of the user's. Throws UserError naming `where` if it lacks the places of its kind or
  // names a place that there is not.
  JudgePrompt(Kind kind, std::string text, const std::string& where);

  // The text to be put to the judge. {mark} is a fingerprint of all the texts, so that an answer
  // cannot know the lines that end it. `b` is empty when grading.
  std::string fill(std::string_view question, std::string_view reference, std::string_view a,
                   std::string_view b = {}) const;

 private:
  std::string text_;
};

// A conversation as one text: the only user turn as it is, else with the roles named.
std::string as_question(const Conversation& asked);

// The verdict of a judge's answer: its last line, "Verdict: " and a whole number from 1 to 10; or
// "A", "B" or "tie". nullopt if the last line is no such verdict, or an earlier line is another
// one. What stands before the last </think> does not count.
std::optional<int> read_grade(std::string_view answer);
// 1 for A, 0.5 for a tie, 0 for B.
std::optional<double> read_preference_for_a(std::string_view answer);

}  // namespace temper
