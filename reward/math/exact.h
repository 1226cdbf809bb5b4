// Exact rational values of constant expressions.
#pragma once

#include <optional>

#include "reward/math/budget.h"
#include "reward/math/node.h"

namespace temper {

// The value of the node if it is a rational number that can be computed within kMaxExactBits:
// numbers, + - * /, powers and roots that come out even, factorials, binomials, |x|, floor and
// ceiling, percent. nullopt for anything with symbols, irrational parts, a division by zero, or too
// large a size.
std::optional<mpq_class> exact_value(const Node& node, MathBudget& budget);

// The k-th root of x if it is rational; for odd k that of a negative number is negative.
std::optional<mpq_class> exact_root(const mpq_class& x, unsigned long k);

// base^n, whatever its size; the base is not 0 where n < 0.
mpq_class integer_power(const mpq_class& base, long n);

// Bits of the numerator and the denominator together.
size_t bits_of(const mpq_class& x);

}  // namespace temper
