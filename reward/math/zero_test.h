// Whether a term is zero, as a theorem and not as a number that is small.
#pragma once

#include "reward/math/terms.h"

namespace temper {

// Whether the term is 0 whatever its generators are, near the values that they have. A term of
// algebraic numbers that is not 0 cannot come closer to it than a bound on its conjugates says
// (Burnikel, Funke, Mehlhorn, Schirra and Schmitt, 2009): computed to that precision, a ball that
// holds 0 is a proof. Generators are replaced by rationals with 40 random bits near what they are;
// an algebraic function that is analytic around them and not 0 throughout has few zeros there, so
// that one hit in 2^25 could mislead at most. False also where the precision or the budget does not
// suffice.
bool is_zero(const TermTable& terms, TermId id, MathBudget& budget);

}  // namespace temper
