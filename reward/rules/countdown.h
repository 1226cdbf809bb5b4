// The rule `countdown`: an expression over given numbers must equal a target.
#pragma once

#include <gmpxx.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reward/registry.h"

namespace temper {

// 1 if the final part holds exactly one <answer>E</answer>, E is an expression of integers,
// + - * / and parentheses (also U+00D7, U+00F7, U+2212), E uses the row's `numbers` (each exactly
// once, or at most once where the row's `use` or the parameter `use` says at_most), and E equals
// the row's `target` as a rational number. No sign before a number, no '=', no exponent, no digits
// run together. bad_gold if the row lacks `numbers` or `target`.
// Source: the task of TinyZero and Stream of Search (Gandhi et al., 2024).
RuleInfo countdown_rule();

// An expression's exact value and the integers it was written with, in order.
struct CountdownExpression {
  mpq_class value;
  std::vector<mpz_class> used;
};

// Reads and computes `text`; nullopt with a reason if it is not an expression of the form above,
// divides by zero, or is over the budget (512 bytes, 64 numbers of at most 18 digits).
std::optional<CountdownExpression> evaluate_countdown(std::string_view text, std::string& reason);

}  // namespace temper
