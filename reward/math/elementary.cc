#include "reward/math/elementary.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "reward/math/relation.h"
#include "reward/math/zero_test.h"

namespace temper {
namespace {

constexpr size_t kMaxRelated = 8;  // values in one relation
constexpr long kMaxPower = 64;     // of a point of the plane
constexpr long kMaxMultiple = 12;  // of an angle
constexpr long kMaxPart = 4, kMaxParts = 12;
constexpr long kMaxPowerOfE = 30;
constexpr long kMaxShift = 40;  // between two arguments of the gamma function

}  // namespace

int Elementary::sign(TermId x) {
  if (failed()) return 1;
  if (table_.is_rational(x)) return sgn(table_[x].value);
  const auto of_ball = [](arb_srcptr ball) {
    if (ball == nullptr || arb_contains_zero(ball) != 0) return 0;
    return arb_is_positive(ball) != 0 ? 1 : -1;
  };
  if (const int known = of_ball(signs_.at(x))) return known;
  if (is_zero(table_, x, budget_)) return 0;
  TermValues closer(table_, 2048, budget_);
  if (const int known = of_ball(closer.at(x))) return known;
  return table_.fail(), 1;
}

bool Elementary::is_integer(TermId x, mpz_class& value) {
  if (table_.is_rational(x)) {
    value = table_[x].value.get_num();
    return table_[x].value.get_den() == 1;
  }
  arb_srcptr ball = signs_.at(x);
  fmpz_t whole;
  fmpz_init(whole);
  const bool unique = ball != nullptr && arb_get_unique_fmpz(whole, ball) != 0;
  if (unique) fmpz_get_mpz(value.get_mpz_t(), whole);
  fmpz_clear(whole);
  return unique && is_zero(table_, table_.subtract(x, rational(value)), budget_);
}

TermId Elementary::floor(TermId x) {
  mpz_class value;
  if (is_integer(x, value)) return rational(value);
  arb_srcptr ball = signs_.at(x);
  if (ball == nullptr) return table_.fail(), x;
  Ball down;
  arb_floor(down.real(), ball, 192);
  fmpz_t whole;
  fmpz_init(whole);
  const bool unique = arb_get_unique_fmpz(whole, down.real()) != 0;
  if (unique) fmpz_get_mpz(value.get_mpz_t(), whole);
  fmpz_clear(whole);
  if (!unique) table_.fail();
  return rational(value);
}

TermId Elementary::root(TermId x, long n) {
  const int of_x = sign(x);
  if (of_x < 0) table_.fail();
  return of_x == 0 ? rational(0) : table_.root(x, n);
}

// The integers of a relation between the values; empty if there is none.
std::vector<long> Elementary::related(const std::vector<TermId>& ids) {
  if (ids.size() < 2 || failed()) return {};
  if (!budget_.spend(static_cast<int64_t>(60 * ids.size())))
    return table_.fail(), std::vector<long>();
  TermValues values(table_, relation_bits(ids.size()) + 64, budget_);
  std::vector<arb_srcptr> balls;
  for (const TermId id : ids) {
    arb_srcptr ball = values.at(id);
    if (ball == nullptr || arb_rel_accuracy_bits(ball) < relation_bits(ids.size()) / 2) return {};
    if (arf_cmpabs_2exp_si(arb_midref(ball), 40) > 0) return {};
    balls.push_back(ball);
  }
  return find_relation(balls).value_or(std::vector<long>());
}

// by[1] ids[1] + by[2] ids[2] + ..., over by[0].
TermId Elementary::combined(const std::vector<TermId>& ids, const std::vector<long>& by) {
  TermId sum = rational(0);
  for (size_t i = 1; i < ids.size(); ++i) {
    mpq_class factor(by[i], by[0]);
    factor.canonicalize();
    sum = table_.add(sum, table_.scaled(ids[i], factor));
  }
  return sum;
}

bool Elementary::proves(const std::vector<TermId>& ids, const std::vector<long>& by) {
  return is_zero(table_, table_.subtract(ids[0], combined(ids, by)), budget_);
}

std::vector<TermId> Elementary::logarithms(TermId first) const {
  std::vector<TermId> ids = {first};
  for (const Exponent& known : exponents_) {
    if (ids.size() < kMaxRelated) ids.push_back(known.logarithm);
  }
  return ids;
}

TermId Elementary::logarithm(TermId x) {
  if (sign(x) <= 0) table_.fail();
  if (failed()) return x;
  const Term term = table_[x];
  if (term.kind == TermKind::rational && term.value == 1) return rational(0);
  if (term.kind == TermKind::root) return table_.scaled(logarithm(term.a), mpq_class(1, term.n));
  const TermId own = table_.generator({.kind = GeneratorKind::logarithm, .a = x});
  for (const Exponent& known : exponents_) {
    if (known.value == x) return known.logarithm;
  }
  const std::vector<TermId> ids = logarithms(own);
  const std::vector<long> by = related(ids);
  if (!by.empty()) {  // x^by[0] is the product of the others' values to their powers
    TermId left = table_.power(x, by[0]), right = rational(1);
    for (size_t i = 1; i < ids.size(); ++i) {
      const TermId power = table_.power(exponents_[i - 1].value, std::labs(by[i]));
      TermId& side = by[i] < 0 ? left : right;
      side = table_.multiply(side, power);
    }
    if (is_zero(table_, table_.subtract(left, right), budget_)) return combined(ids, by);
  }
  exponents_.push_back({x, own});
  return own;
}

// base^(above / below) for a positive base.
TermId Elementary::scaled_power(TermId base, long above, long below) {
  const long common = std::gcd(above, below);
  return table_.power(table_.root(base, below / common), above / common);
}

TermId Elementary::exponential(TermId x) {
  if (failed() || sign(x) == 0) return rational(1);
  for (const Exponent& known : exponents_) {
    if (known.logarithm == x) return known.value;
  }
  const std::vector<TermId> ids = logarithms(x);
  const std::vector<long> by = related(ids);
  if (!by.empty() && proves(ids, by)) {
    TermId value = rational(1);
    for (size_t i = 1; i < ids.size(); ++i) {
      if (by[i] == 0) continue;
      value = table_.multiply(value, scaled_power(exponents_[i - 1].value, by[i], by[0]));
    }
    return value;
  }
  // e^(p/q) is a power of the q-th root of e, so that e^9 and e are related without roots of e^9.
  const mpq_class exponent = table_[x].value;
  const bool power = table_.is_rational(x) && abs(exponent.get_num()) <= kMaxPowerOfE;
  const TermId part = power ? rational(mpq_class(1, exponent.get_den())) : x;
  const TermId own = table_.generator({.kind = GeneratorKind::exponential, .a = part});
  exponents_.push_back({own, part});
  return power ? table_.power(own, exponent.get_num().get_si()) : own;
}

Elementary::Point Elementary::product(const Point& a, const Point& b) {
  return {table_.subtract(table_.multiply(a.x, b.x), table_.multiply(a.y, b.y)),
          table_.add(table_.multiply(a.x, b.y), table_.multiply(a.y, b.x))};
}

Elementary::Point Elementary::power(Point base, long n) {
  if (std::labs(n) > kMaxPower) table_.fail();
  if (failed()) return base;
  if (n < 0) {
    const TermId square =
        table_.add(table_.multiply(base.x, base.x), table_.multiply(base.y, base.y));
    base = {table_.divide(base.x, square), table_.scaled(table_.divide(base.y, square), -1)};
    n = -n;
  }
  Point result = {rational(1), rational(0)};
  for (; n > 0; n /= 2) {
    if (n % 2 == 1) result = product(result, base);
    if (n > 1) base = product(base, base);
  }
  return result;
}

std::vector<TermId> Elementary::angles(TermId first) {
  std::vector<TermId> ids = {first, pi()};
  for (const Turn& turn : turns_) {
    if (ids.size() < kMaxRelated) ids.push_back(turn.angle);
  }
  return ids;
}

// Whether above / below of the turn's angle can be had: by halving where its point is known, else
// as a multiple. Where smaller parts of all angles would make it one, they are asked for.
bool Elementary::can_take_part(const Turn& turn, long above, long below) {
  const long common = std::gcd(above, below);
  if (std::labs(above) / common > kMaxMultiple) return false;
  below /= common;
  while (turn.halves && below % 2 == 0) below /= 2;
  if (below == 1) return true;
  if (!turn.halves && below <= kMaxPart && std::lcm(parts_, below) <= kMaxParts) {
    wanted_parts_ = std::lcm(parts_, below);
    table_.fail();
  }
  return false;
}

// The point at above / below of the turn's angle.
Elementary::Point Elementary::part_of_turn(const Turn& turn, long above, long below) {
  const long common = std::gcd(above, below);
  below /= common;
  Point point = turn.point;
  for (; below % 2 == 0 && !failed(); below /= 2) {
    const TermId half = rational(mpq_class(1, 2)), part = table_.multiply(point.x, half);
    const int side = sign(point.y);
    point = {root(table_.add(half, part), 2),
             table_.scaled(root(table_.subtract(half, part), 2), side < 0 ? -1 : 1)};
  }
  return power(point, above / common);
}

Elementary::Point Elementary::direction(TermId angle) {
  if (failed() || sign(angle) == 0) return {rational(1), rational(0)};
  const std::vector<TermId> ids = angles(angle);
  const std::vector<long> by = related(ids);
  bool usable = !by.empty();
  for (size_t i = 2; usable && i < ids.size(); ++i) {
    usable = by[i] == 0 || can_take_part(turns_[i - 2], by[i], by[0]);
  }
  if (!usable || !proves(ids, by)) return new_direction(angle);
  mpq_class turns(by[1], by[0]);
  turns.canonicalize();
  Point point = {table_.cosine(turns), table_.cosine(mpq_class(1, 2) - turns)};
  for (size_t i = 2; i < ids.size() && !failed(); ++i) {
    if (by[i] != 0) point = product(point, part_of_turn(turns_[i - 2], by[i], by[0]));
  }
  return point;
}

Elementary::Point Elementary::new_direction(TermId angle) {
  const TermId part = table_.scaled(angle, mpq_class(1, parts_));
  const TermId t = table_.generator({.kind = GeneratorKind::half_tangent, .a = part});
  const TermId one = rational(1), square = table_.power(t, 2);
  const TermId below = table_.add(one, square);
  const Point point = {table_.divide(table_.subtract(one, square), below),
                       table_.divide(table_.scaled(t, 2), below)};
  turns_.push_back({point, part, false});
  return power(point, parts_);
}

TermId Elementary::angle(const Point& point) {
  const int x = sign(point.x), y = sign(point.y);
  if (y == 0) return x < 0 ? pi() : rational(0);
  if (x == 0) return table_.scaled(pi(), mpq_class(y, 2));
  if (failed()) return point.x;
  const TermId own = table_.generator({.kind = GeneratorKind::angle, .a = point.x, .b = point.y});
  const std::vector<TermId> ids = angles(own);
  for (size_t i = 2; i < ids.size(); ++i) {
    if (ids[i] == own) return own;
  }
  const std::vector<long> by = related(ids);
  if (!by.empty()) {
    // The point to its power, turned back by the others, lies on the positive axis.
    Point back = power(point, by[0]);
    for (size_t i = 2; i < ids.size() && !failed(); ++i) {
      if (by[i] != 0) back = product(back, power(turns_[i - 2].point, -by[i]));
    }
    if (failed()) return own;
    const bool turned = by[1] % 2 != 0;
    if (is_zero(table_, back.y, budget_) && sign(back.x) == (turned ? -1 : 1)) {
      return combined(ids, by);
    }
  }
  const TermId length = table_.root(
      table_.add(table_.multiply(point.x, point.x), table_.multiply(point.y, point.y)), 2);
  turns_.push_back({{table_.divide(point.x, length), table_.divide(point.y, length)}, own, true});
  return own;
}

TermId Elementary::gamma(TermId x) {
  if (gammas_.empty()) gammas_.push_back({rational(mpq_class(1, 2)), table_.root(pi(), 2)});
  if (gammas_.size() == 1) gammas_.push_back({rational(1), rational(1)});
  for (const Point& known : gammas_) {
    mpz_class shift;
    if (failed() || !is_integer(table_.subtract(x, known.x), shift)) continue;
    if (abs(shift) > kMaxShift) return table_.fail(), x;
    TermId value = known.y;  // gamma(x + 1) = x gamma(x)
    for (long i = 0; i < shift; ++i) {
      value = table_.multiply(value, table_.add(known.x, rational(i)));
    }
    for (long i = 1; i <= -shift.get_si(); ++i) {
      const TermId factor = table_.subtract(known.x, rational(i));
      if (sign(factor) == 0) return table_.fail(), x;
      value = table_.divide(value, factor);
    }
    return value;
  }
  const TermId own = table_.generator({.kind = GeneratorKind::gamma, .a = x});
  gammas_.push_back({x, own});
  return own;
}

}  // namespace temper
