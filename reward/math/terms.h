// Real numbers as terms over generators, each different term kept once: what the equality of two
// values is proved on.
#pragma once

#include <gmpxx.h>

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "reward/math/budget.h"
#include "reward/math/flint.h"

namespace temper {

enum class TermId : int { none = -1 };

enum class TermKind : uint8_t {
  rational,   // value
  cosine,     // cos(pi value), 0 < value < 1/2
  generator,  // n: its number
  add,        // a + b
  multiply,   // a b
  power,      // a^n; n is neither 0 nor 1
  root,       // the positive n-th root of a > 0
};

struct Term {
  TermKind kind = TermKind::rational;
  TermId a = TermId::none, b = TermId::none;
  long n = 0;
  mpq_class value = 0;
};

// A number that earlier terms do not express: the one transcendental step that makes it.
enum class GeneratorKind : uint8_t {
  pi,
  variable,      // a symbol at the point `value`
  logarithm,     // ln a
  exponential,   // e^a
  angle,         // of the point (a, b) in the plane
  half_tangent,  // tan(a / 2)
  gamma,         // the gamma function at a
};

struct Generator {
  GeneratorKind kind = GeneratorKind::pi;
  TermId a = TermId::none, b = TermId::none;
  int symbol = 0;  // which one a variable is
  mpq_class value = 0;
};

// Builds terms in a normal form that folds what is rational and adds up exponents. What would grow
// beyond its bounds fails the table for good: ids then stand for nothing, and `failed` says so.
class TermTable {
 public:
  // A number, cos(pi turns), and what a generator stands for.
  TermId rational(const mpq_class& value);
  TermId cosine(const mpq_class& turns);
  TermId generator(const Generator& generator);
  // Arithmetic; power and divide want a base and a divisor that are not 0, root wants a > 0.
  TermId add(TermId a, TermId b);
  TermId subtract(TermId a, TermId b) { return add(a, scaled(b, -1)); }
  TermId multiply(TermId a, TermId b);
  TermId divide(TermId a, TermId b) { return multiply(a, power(b, -1)); }
  TermId scaled(TermId a, const mpq_class& factor) { return multiply(rational(factor), a); }
  TermId power(TermId a, long n);
  TermId root(TermId a, long n);

  const Term& operator[](TermId id) const { return terms_[static_cast<size_t>(id)]; }
  const Generator& generator_at(long number) const {
    return generators_[static_cast<size_t>(number)];
  }
  size_t size() const { return terms_.size(); }
  size_t generators() const { return generators_.size(); }
  bool is_rational(TermId id) const { return (*this)[id].kind == TermKind::rational; }
  void fail() { failed_ = true; }
  bool failed() const { return failed_; }

 private:
  TermId keep(Term term);
  TermId root_of_rational(const mpq_class& x, long n);
  // The term as a rational times another term, if there is one.
  struct Scaled {
    mpq_class factor;
    TermId rest;
  };
  Scaled split(TermId id) const;
  TermId product(TermId a, TermId b);

  std::vector<Term> terms_;
  std::vector<Generator> generators_;
  std::unordered_multimap<size_t, TermId> known_;
  bool failed_ = false;
};

// The terms' values as balls at one precision, each computed once and when it is asked for. With
// `numbers` the generators are not what they are but these; `blur` widens each to a neighbourhood.
class TermValues {
 public:
  TermValues(const TermTable& terms, slong precision, MathBudget& budget,
             const std::vector<mpq_class>* numbers = nullptr, bool blur = false)
      : terms_(terms), precision_(precision), budget_(budget), numbers_(numbers), blur_(blur) {}

  // nullptr where the ball does not show that the value exists: a division by a ball that holds 0,
  // a root of one that is not positive.
  arb_srcptr at(TermId id);

 private:
  bool compute(const Term& term, arb_ptr out);
  bool compute_generator(const Term& term, arb_ptr out);

  const TermTable& terms_;
  slong precision_;
  MathBudget& budget_;
  const std::vector<mpq_class>* numbers_;
  bool blur_;
  enum class State : uint8_t { unknown, known, undefined };
  std::vector<State> states_;
  std::deque<Ball> values_;
};

// Sets the ball to the rational number.
void set_ball(arb_ptr out, const mpq_class& value, slong precision);

}  // namespace temper
