// The rule `mcq`: the letter of a multiple-choice question.
#pragma once

#include "reward/registry.h"

namespace temper {

// 1 if the completion names the gold's letter and no other. In the final part the first of these
// that is there decides: the only <answer>; the last \boxed{}; the rest of the line after the last
// "answer is" or "answer:"; the whole, if it is a letter or a choice. A letter is read as B, (B),
// [B], B., B: or B) alone or before the text of its choice. Where the row has `choices` (a list of
// texts, or {"label":[...],"text":[...]}), a letter past its end is wrong, the text of a choice
// stands for its letter, and the gold may be a text or a number counted from 0.
RuleInfo mcq_rule();

}  // namespace temper
