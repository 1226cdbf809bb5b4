// The whole check: a gold and a completion to a verdict.
#pragma once

#include <string_view>

#include "reward/math/compare.h"
#include "reward/verdict.h"

namespace temper {

// Judges the completion's final answer against the gold. The gold may be the answer alone or a
// worked solution. Deterministic and thread-safe; its cost is bounded by budget.h.
//   bad_gold    the gold is empty, too large, or a solution without a final answer
//   no_answer   no final answer is found, or it is no formula and the gold is one, or it is too
//   large
Verdict check_math(std::string_view gold, std::string_view completion,
                   const CompareOptions& options);

// Whether two answers, given bare, are equal. For tables of pairs.
bool same_math(std::string_view gold, std::string_view answer, const CompareOptions& options = {});

}  // namespace temper
