// What an answer's tree looks like from outside, and other ways to write the same.
#pragma once

#include <string>
#include <vector>

#include "reward/math/node.h"

namespace temper {

// Whether the trees are alike, node by node.
bool same_tree(const Node& a, const Node& b);

// A gold that gives a value and about how much that is, as in 1/3 ~ 0.333: either is right.
bool is_value_with_decimals(const Node& node);

// Whether a gold with a base has the answer's digits and its base, which may be missing.
bool same_digits(const Node& gold, const Node& answer);

// 72_{10} as 72; nullptr for anything else.
NodePtr in_base_ten(const Node& node);

// A matrix of one column or one row.
bool is_vector(const Node& node);

// (a, b): an interval without its ends, or a pair.
bool is_open_pair(const Node& node);

// A relation, a chain of them, or a list of such.
bool is_statement(const Node& node);

// An inequality, a chain that has one, or a list of such.
bool holds_inequality(const Node& node);

// A statement about one letter that stands alone on its side: x = 5, 3 < x, -x > 1, |x| < 2,
// x < 1 or x > 2. "2x + 1 < 5" and "x^2 = 4" are questions.
bool is_solved(const Node& statement);

// Whether two statements are about the same letters: x > 3 is not y > 3.
bool about_the_same(const Node& a, const Node& b);

// (x, y) = (1, 2) and P = (1, 2) as (1, 2); anything else as it is.
const Node& without_name(const Node& answer);

// (x, y) = (1, 2) as the list x = 1, y = 2; nullptr for anything else.
NodePtr as_equations(const Node& answer);

// x = 1, y = 2: values of different things, not x_1 = 1, x_2 = 2.
bool is_system(const Node& node);

// Whether one of the items is an equation.
bool holds_equation(const Node& node);

// (x - 2)(x + 2) for the list x = 2, x = -2; nullptr where an item is no value of that symbol.
NodePtr with_roots_of(const Node& list, const std::string& symbol);

// x = x + 1 and xy = x^2 name nothing; f(x) = x^2 and dy/dx = x do.
bool is_in_terms_of_itself(const Node& name, const Node& value);

// [1, 2), [3, 4) or (-oo, 1), [2, 3]: intervals of which one has an end that no point has, so that
// a comma or a word between them means their union.
bool lists_intervals(const Node& node);

// Whether two names can stand for solutions of one unknown: x and x_1, but not x_1 and x_2.
bool names_one_unknown(const Node& a, const Node& b);

// f(n) = n + 1 with the letter of `like`, f(x) = ..., in place of n; nullptr where the two are not
// values of one function at a letter each.
NodePtr with_argument_of(const Node& like, const Node& equation);

// Whether both are sums, or both products, with a running index: their bounds and bodies decide.
bool are_alike_sums(const Node& a, const Node& b);

// Whether pi is in it.
bool holds_pi(const Node& node);

// Whether the names are those of a curve, y and f(x), in one order or the other.
bool name_one_curve(const Node& a, const Node& b);

}  // namespace temper
